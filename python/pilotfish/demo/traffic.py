"""The client: an unmodified ``tritonclient`` that knows nothing of pilotfish, only an address to call.

It runs in a process of its own (``python -m pilotfish.demo.traffic``). Orders come in on standard input as
JSON lines (``{"lens": {"haze": 0.2, "stuck": null}}``), the first of which starts the calls; reports of
what it saw go out the same way, and it ends when its standard input closes.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from pilotfish.demo import models
from pilotfish.demo.lens import Images, Lens
from pilotfish.demo.tally import RECENT_CALLS, Tally

USERS = 20_000
DIRECT_EVERY = 4
"""One call in so many goes straight to the model, to know what the way through the sidecar adds."""
REPORT_SECONDS = 0.25
CALL_TIMEOUT_SECONDS = 10.0


class Camera:
    """Takes pictures of random live digits through a lens that may get dirty; shared by all threads."""

    def __init__(self, live: models.Digits) -> None:
        self._live = live
        self.lens = Lens()

    def take(self, rows: int, random: np.random.Generator) -> tuple[Images, models.Labels]:
        """So many pictures, and what they really show."""
        drawn = random.integers(0, len(self._live.labels), rows)
        return self.lens.see(self._live.images[drawn]), self._live.labels[drawn]


class Caller:
    """One thread's client: makes a call at a time, at a steady pace."""

    def __init__(
        self, through: str, direct: str, camera: Camera, tally: Tally, seed: tuple[int, int]
    ) -> None:
        self._through = triton.InferenceServerClient(through)
        self._direct = triton.InferenceServerClient(direct)
        self._camera = camera
        self._tally = tally
        self._random = np.random.default_rng(seed)

    def run(self, rows: int, pause: float, stop: threading.Event) -> None:
        """Call until ``stop``, one call each ``pause`` seconds; a late call is not made up for."""
        due = time.monotonic()
        call = 0
        while not stop.is_set():
            images, labels = self._camera.take(rows, self._random)
            call += 1
            if call % DIRECT_EVERY == 0:
                self.compare(images)
            else:
                self.ask(images, labels)
            due = max(due + pause, time.monotonic() - pause)
            stop.wait(max(0.0, due - time.monotonic()))

    def ask(self, images: Images, labels: models.Labels) -> None:
        """One call through the sidecar, on behalf of a random user."""
        user = f"user-{self._random.integers(USERS):05}"
        began = time.perf_counter()
        try:
            answer = _infer(self._through, images, {"x-user-id": user})
        except InferenceServerException as error:
            self._tally.failed(str(error.status()))
            return
        seconds = time.perf_counter() - began
        correct = float(np.mean(answer.as_numpy("label") == labels))
        self._tally.answered(user, answer.get_response().model_version, len(images), correct, seconds)

    def compare(self, images: Images) -> None:
        """A call straight to the model, at the same pace as the others so that the times can be compared."""
        began = time.perf_counter()
        try:
            _infer(self._direct, images, {})
        except InferenceServerException:
            return
        self._tally.direct(time.perf_counter() - began)


def _infer(client: Any, images: Images, headers: dict[str, str]) -> Any:
    tensor = triton.InferInput("image", images.shape, "FP32")
    tensor.set_data_from_numpy(images)
    return client.infer(models.NAME, [tensor], headers=headers, client_timeout=CALL_TIMEOUT_SECONDS)


def obey(order: str, camera: Camera, tally: Tally) -> None:
    """Change the lens as ordered, and say after which call it changed."""
    before = tally.report()
    camera.lens = Lens(**json.loads(order)["lens"])
    say({"changed": {"calls": before["calls"], "rows": before["rows"]}})


def say(value: dict[str, Any]) -> None:
    """Write one JSON line in one piece."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Entry of ``python -m pilotfish.demo.traffic``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--through", required=True, help="address of the sidecar")
    parser.add_argument("--direct", required=True, help="address of the model itself")
    parser.add_argument("--rate", type=float, default=200.0, help="calls per second")
    parser.add_argument("--rows", type=int, default=4, help="images per call")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()

    _training, live = models.halves(flags.seed)
    camera, tally, stop = Camera(live), Tally(RECENT_CALLS // (DIRECT_EVERY - 1)), threading.Event()
    callers = [
        Caller(flags.through, flags.direct, camera, tally, (flags.seed, number))
        for number in range(flags.threads)
    ]
    pause = flags.threads / flags.rate
    work = [threading.Thread(target=caller.run, args=(flags.rows, pause, stop)) for caller in callers]
    work.append(threading.Thread(target=_report, args=(tally, stop)))
    say({"report": tally.report()})
    try:
        for number, order in enumerate(sys.stdin):
            obey(order, camera, tally)
            if number == 0:
                _start(work)
    finally:
        stop.set()
        _join(work)
        say({"report": tally.report()})


def _start(work: Iterable[threading.Thread]) -> None:
    for thread in work:
        thread.start()


def _join(work: Iterable[threading.Thread]) -> None:
    for thread in work:
        if thread.is_alive():
            thread.join()


def _report(tally: Tally, stop: threading.Event) -> None:
    while not stop.wait(REPORT_SECONDS):
        say({"report": tally.report()})


if __name__ == "__main__":
    main()
