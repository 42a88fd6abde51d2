"""The Rust core.

Routing, sampling, statistics, and reading of messages. Private: use the modules of ``pilotfish``.

Nothing in here calls back into Python. Every class is frozen and may be used from any thread. Time is
always an argument: monotonic nanoseconds (``time.monotonic_ns()``), never wall time but for certificates.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict, final, type_check_only

import numpy as np
import numpy.typing as npt

__all__ = [
    "ARL",
    "CLEAR_AFTER",
    "DELTA",
    "PANE_ROWS",
    "TOLERANCE",
    "AttributionDetector",
    "Backtest",
    "CertificateError",
    "Certificates",
    "CoMoments",
    "ConfigurationError",
    "Decision",
    "Detector",
    "Engine",
    "Histogram",
    "JointBuilder",
    "JointDetector",
    "LossDetector",
    "NativePlane",
    "Profile",
    "ProfileBuilder",
    "ProfileError",
    "ScoreTable",
    "StateError",
    "__version__",
    "bracket",
    "decode",
    "describe_profile",
    "describe_state",
    "distance",
    "divergence",
    "forwarded_client_certificate",
    "merge_states",
    "noise",
    "performance_of_classes",
    "profile_scores",
    "profile_with_scores",
    "score_edges",
]

__version__: str

ARL: int
"""Rows between false alarms, at least, where nothing else is asked for; all five are such defaults."""
TOLERANCE: float
"""Relative entropy in nats that is no change."""
DELTA: float
"""Probability that a reference misleads."""
CLEAR_AFTER: int
"""Calm panes that end an alarm."""
PANE_ROWS: int
"""Rows judged together where nobody looks in between."""

class CertificateError(ValueError):
    """A file of a certificate cannot be used.

    ``args`` are the version whose ``tls`` section it is (None for the listener's), the key in the section,
    and the file with what is wrong and the remedy.
    """

class ConfigurationError(ValueError):
    """The engine's configuration cannot be used; the message names the value and the remedy."""

class StateError(ValueError):
    """A state file cannot be read, or not be added to others; the message names the file and the remedy."""

class ProfileError(ValueError):
    """A profile cannot be read or built: truncated, altered, of a newer format, or without rows."""

@final
class Decision:
    """What was decided for one call before it is forwarded. Hand it back to :meth:`Engine.observe`."""

    @property
    def version(self) -> str:
        """Name of the version that answers."""
    @property
    def upstream(self) -> str:
        """Where its model server listens."""
    @property
    def route(self) -> str: ...
    @property
    def role(self) -> Literal["primary", "canary"]: ...
    @property
    def strategy(self) -> Literal["static", "canary", "fallback"]:
        """Why: the route has one version, its weights were drawn, or no route matched."""
    @property
    def shadow(self) -> str | None:
        """Version that shall see a copy of the call, or None."""
    @property
    def shadow_upstream(self) -> str | None:
        """Where its model server listens."""
    @property
    def shadow_timeout(self) -> float:
        """Seconds the shadow may take; 0.0 without a shadow."""
    @property
    def call_id(self) -> str:
        """``x-request-id`` if the client sent one (up to 128 bytes), else the trace id, else the seed."""
    @property
    def traceparent(self) -> str | None:
        """W3C trace context as the client sent it."""

@type_check_only
class NativeCall(TypedDict):
    """The fields of a ``KeptCall``."""

    call_id: str
    reason: str
    route: str
    version: str
    role: str
    strategy: str
    method: str
    code: int
    message: str
    started_unix_ns: int
    duration_ns: int
    upstream_ns: int
    request: bytes | None
    response: bytes | None
    request_bytes: int
    response_bytes: int
    metadata: tuple[tuple[str, str | bytes], ...]
    traceparent: str | None
    peer: str
    upstream: str

@final
class Certificates:
    """The certificates of the listener and of those upstreams that are spoken to over TLS.

    ``configuration`` is JSON (see ``Settings.certificate_configuration``); ``now`` and all other times are
    seconds since 1970 of wall time, as certificates count them. Raises CertificateError.
    """

    def __new__(cls, configuration: str, now: int) -> Certificates: ...
    def apply(self, configuration: str, now: int) -> None:
        """Put other sections in the place of those there are; what stays the same keeps its state.

        Raises CertificateError, and then nothing has changed. Connections keep what they shook hands with.
        """
    def look(self, now: int) -> bytes:
        """Read the files again and take what is new and can be used: handshakes from now on have it.

        JSON array of what has happened since the last look: ``{"event": "renewed" | "refused" | "ending",
        "version", "reason", "subject", "not_after"}``. What is wrong is said once, not at every look.
        """
    def states(self) -> bytes:
        """JSON array, the listener first.

        ``{"version", "subject", "not_after", "renewed", "refused", "wrong"}``.
        """
    def contents(self, version: str | None) -> dict[str, bytes] | None:
        """The files in use, by their key in the section; None for a section that there is not."""
    def server_name(self, version: str) -> str | None:
        """Name that the certificate of a version's model server must be for; None without TLS."""

def forwarded_client_certificate(client: bytes, own: bytes) -> str | None:
    """Value of ``x-forwarded-client-cert`` for a client's certificate (PEM); None when it is none.

    ``own`` is the listener's.
    """

@final
class NativePlane:
    """The native data plane: threads that forward calls, and none of them ever takes the GIL.

    ``configuration`` is JSON (see ``pilotfish.plane.native``). Listens and accepts calls once constructed.

    Raises ConfigurationError, or OSError when the address cannot be listened on.
    """

    def __new__(
        cls, engine: Engine, configuration: str, certificates: Certificates | None = None
    ) -> NativePlane: ...
    @property
    def address(self) -> str:
        """Where it listens, with the real port where 0 was asked for."""
    @property
    def serving(self) -> bool:
        """Whether new connections are accepted."""
    def refresh(self) -> None:
        """Connect to the model servers of what :meth:`Engine.apply` has put in force.

        Connections to servers that it no longer names end with their last call.
        """
    def upstreams(self) -> dict[str, Literal["ready", "connecting", "unreachable"]]:
        """State of the connection to each version."""
    def drain(self, seconds: float) -> bool:
        """Let calls under way end within ``seconds``, break off the rest, stop.

        True when all ended by themselves.
        """
    def flush(self, timeout: float) -> bool:
        """Wait until the messages forwarded so far are in the statistics; False when it took longer."""
    def counters(self) -> bytes:
        """JSON: connections, refusals, resets and failures since the start."""
    def kept(self, most: int, timeout: float) -> list[NativeCall]:
        """Take up to ``most`` kept calls, oldest first; waits up to ``timeout`` seconds for one.

        Each must be settled with :meth:`Engine.settle`.
        """

@final
class Engine:
    """Everything that is decided and counted in one sidecar.

    ``configuration`` is JSON (see ``Settings.engine_configuration``); ``profiles`` maps version
    names to the bytes of a profile file. Starts the observer thread; :meth:`close` stops it.

    Raises ConfigurationError or ProfileError.
    """

    def __new__(cls, configuration: str, profiles: Mapping[str, bytes], now_ns: int) -> Engine: ...
    def apply(self, configuration: str, profiles: Mapping[str, bytes]) -> int:
        """Put other versions, routes and sampling in force, for calls that arrive from now on.

        ``configuration`` is JSON (see ``Settings.policy_configuration``). Calls under way keep what they were
        decided under; versions and routes that stay, by name, keep their statistics. Returns the generation.

        Raises ConfigurationError or ProfileError, and then nothing has changed.
        """
    @property
    def generation(self) -> int:
        """1 at the start, and one more with every :meth:`apply`."""
    def decide(self, method: str, metadata: Iterable[tuple[str, str | bytes]], seed: int) -> Decision:
        """First crossing.

        Choose route, version and shadow for a call. Never raises for anything a client can send.

        ``method`` is the ``:path`` (``/package.Service/Method``); ``seed`` 64 random bits, used where
        the client sent nothing to be sticky to.
        """
    def observe(
        self,
        decision: Decision,
        code: int,
        duration_ns: int,
        upstream_ns: int,
        now_ns: int,
        request: bytes | None,
        response: bytes | None,
        request_bytes: int,
        response_bytes: int,
    ) -> str | None:
        """Second crossing, after the reply was forwarded.

        Count the call and queue its messages for the statistics.

        ``code`` is the gRPC status. ``request``/``response`` are whole messages, or None (streams hand
        them to :meth:`observe_message` as they pass; calls without a message have none). Returns the
        reason why the call is kept (``"sampled"``, ``"error"``, ``"slow"``, ``"canary"``) or None when
        it is sampled out. A kept call must be settled with :meth:`settle`. Never blocks: when the
        observer is behind, the messages are dropped and counted.
        """
    def observe_message(
        self, decision: Decision, direction: Literal["input", "output"], message: bytes, now_ns: int
    ) -> None:
        """Queue one message of a streaming call for the statistics."""
    def settle(self, outcome: str | None) -> None:
        """Say what became of a kept call.

        None when the journal has written it, else why it was dropped (``queue_full``, ``disk``...).

        Raises RuntimeError when no kept call is waiting: each may be settled once.
        """
    def admit_shadow(self, decision: Decision, held: int) -> bool:
        """Whether a shadow call that holds so many bytes may start now; else it is dropped and counted."""
    def observe_shadow(
        self,
        decision: Decision,
        code: int,
        now_ns: int,
        response: bytes | None,
        primary_code: int,
        primary_response: bytes | None,
        held: int,
    ) -> None:
        """End of an admitted shadow call, with the bytes it was admitted for.

        Count it and queue both answers for comparison. Code 4 counts as time-out.
        """
    def snapshot(self, now_ns: int, detail: bool = False) -> bytes:
        """All numbers as JSON (UTF-8). ``detail`` adds bins and exponential histograms of every feature."""
    def snapshot_pieces(self, now_ns: int, detail: bool, features: int) -> list[bytes]:
        """The same in pieces, so that reading it need not hold the interpreter for long.

        First the snapshot with the features of its models left out; then objects ``{"model", "features"}``,
        each with at most so many ``features`` of the model at that place of ``models``, in order.
        """
    def alarms(self, after: int) -> bytes:
        """JSON array of the last 1,024 alarm events with a sequence above ``after``, oldest first."""
    def unfitting(self) -> bytes:
        """Models that are not compared with the profile of their version, which is of another one.

        JSON array of ``{"model", "version", "profile_of"}``.
        """
    def state(self, clock: str, now_ns: int) -> bytes:
        """Everything that must survive a restart, as the bytes of a file.

        Windows, evidence, alarms, learned profiles. ``clock`` names the clock that ``now_ns`` is of.
        """
    def restore(self, file: bytes | None, clock: str, now_ns: int) -> bytes:
        """Go on where a file stopped; None when it could not be read.

        JSON array of what was lost: ``{"model", "version", "reason", "says"}``, counted by reason. Never
        raises for anything a file can hold.
        """
    def state_written(self, failed: str | None) -> None:
        """Count a file that was written (None), or why it could not be."""
    def learned_profile(self, version: str) -> bytes | None:
        """Profile learned from the first live rows of a version without one; None until enough came."""
    def flush(self, timeout: float) -> bool:
        """Wait until the observer's queue is worked off; False when ``timeout`` seconds were too short."""
    def close(self) -> None:
        """Stop the observer thread after its queue is worked off. Later calls count, but are not observed."""

@final
class Profile:
    """A profile file that was read; see ``pilotfish.statistics.Profile``. Raises ProfileError."""

    def __new__(cls, data: bytes) -> Profile: ...
    def to_bytes(self) -> bytes:
        """The bytes of the file."""
    def describe(self) -> dict[str, Any]:
        """As :func:`describe_profile`, with the bins."""
    def merged(self, other: Profile) -> Profile:
        """The profile of the rows of both: the same bytes in any order.

        Raises ProfileError when they are of different models, features or edges.
        """
    def renamed(self, model: str) -> Profile:
        """The same profile, of a model of another name."""
    def only(self, features: Sequence[tuple[str, str]]) -> Profile | None:
        """With these features (direction and name) alone; None when there is none of them."""
    def histogram(self, direction: Literal["input", "output"], name: str) -> Histogram | None:
        """The counts of one feature; None when there is no such feature."""
    def distinct(self, direction: Literal["input", "output"], name: str) -> bytes | None:
        """The sketch of its different values (DataSketches, ``hll_sketch``); None when there is none."""
    def diff(self, current: Profile, chance: float = 0.001) -> list[dict[str, Any]]:
        """The distances of every feature of either, as :meth:`Histogram.distances` has them.

        ``[{"name", "direction", "distances": {name: {...}}, "why_not"}]``; ``why_not`` says why there are
        none.
        """

@final
class Histogram:
    """Counts on fixed bins; see ``pilotfish.statistics.Histogram``."""

    @staticmethod
    def of_edges(edges: Sequence[float]) -> Histogram:
        """Ranges between 2 to 65 ascending edges. Raises ValueError."""
    @staticmethod
    def of_values(values: Sequence[float]) -> Histogram:
        """One bin for each of up to 64 ascending values. Raises ValueError."""
    @staticmethod
    def of_labels(labels: Sequence[str | bytes]) -> Histogram:
        """One bin for each of up to 64 different texts. Raises ValueError."""
    def add_numbers(self, values: npt.NDArray[np.float64]) -> None:
        """Count values, one-dimensional; NaN is missing. Raises ValueError for bins of texts."""
    def add_categories(self, values: Sequence[str | bytes | None]) -> None:
        """Count texts; None is missing. Raises ValueError for bins of numbers."""
    def merged(self, other: Histogram) -> Histogram:
        """The counts of both. Raises ValueError when their bins differ."""
    def empty(self) -> Histogram:
        """The same bins, without counts."""
    @property
    def kind(self) -> Literal["numeric", "discrete", "category"]: ...
    @property
    def edges(self) -> list[float]: ...
    @property
    def values(self) -> list[float]: ...
    @property
    def labels(self) -> list[str]: ...
    @property
    def counts(self) -> npt.NDArray[np.uint64]:
        """Of the bins."""
    @property
    def rows(self) -> int:
        """Everything that was counted."""
    def beside(self) -> dict[str, int]:
        """Counts of what is in no bin, by name."""
    def moments(self) -> tuple[float | None, float | None, float | None, float | None]:
        """Mean, standard deviation, smallest and largest of the finite values."""
    def quantile(self, share: float) -> float | None:
        """The value below which a share of the finite values lies; None for texts."""
    def distances(self, current: Histogram, chance: float = 0.001) -> dict[str, dict[str, float | None]]:
        """All distances of ``current`` from this, by name.

        Each is ``{"value", "expected", "noise", "low", "high"}``: what undrifted samples of these sizes score
        on average and exceed with the probability ``chance``, and the bounds of the distance of the values
        themselves; None where there is none. Raises ValueError when the bins differ, or one is empty.
        """

@final
class ProfileBuilder:
    """Builds a reference profile from columns, in one pass with bounded memory, chunk by chunk."""

    def __new__(cls, model: str, bins: int = 32) -> ProfileBuilder: ...
    @staticmethod
    def on(edges: bytes) -> ProfileBuilder:
        """A builder for a part of the data.

        It counts on the bins of the profile ``edges``, so that what it builds can be merged with other parts.
        Raises ProfileError.
        """
    def add_numbers(
        self, name: str, direction: Literal["input", "output"], values: npt.NDArray[np.float64]
    ) -> None:
        """Add rows of a numeric feature; NaN is missing. ``values`` is one-dimensional."""
    def add_categories(
        self, name: str, direction: Literal["input", "output"], values: Sequence[str | bytes | None]
    ) -> None:
        """Add rows of a categorical feature; None is missing."""
    def finish(self) -> bytes:
        """The bytes of the profile file. Raises ProfileError when nothing was added."""

@final
class Detector:
    """A familiar drift detector, watching one stream; see ``pilotfish.detectors``.

    ``parameters`` replace its defaults. Raises ConfigurationError for a name or a parameter that does not
    exist or makes no sense. Values that are NaN or infinite are passed over.
    """

    def __new__(cls, name: str, **parameters: float | str | bool | None) -> Detector: ...
    def update(self, value: float) -> Literal["quiet", "warning", "drift"]:
        """Take in the next value. Raises ValueError for one that the detector cannot judge."""
    def update_many(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Take in many values with one crossing; the indices of those that raised an alarm.

        Raises ValueError, before any value is taken in, when there is one that the detector cannot judge.
        """
    def find(self, values: npt.NDArray[np.float64]) -> list[tuple[int, int, Literal["up", "down"] | None]]:
        """As :meth:`update_many`, of every alarm with its index.

        The others are how many values there were since the change, that one included, and where they went.
        """

@final
class Backtest:
    """Recorded rows through the live code.

    ``configuration`` is JSON: ``{"monitor": {...}, "familiar": {"name", "settings"} or null}``; a familiar
    detector raises the alarms instead of the monitor's own. Raises ConfigurationError or ProfileError.
    """

    def __new__(cls, profile: bytes, configuration: str) -> Backtest: ...
    def watched(self) -> list[tuple[Literal["input", "output"], str]]:
        """Direction and name of the features that can raise an alarm."""
    def add_rows(
        self,
        tensors: Sequence[
            tuple[str, Literal["input", "output"], npt.NDArray[np.float64] | Sequence[str | bytes | None]]
        ],
    ) -> None:
        """Take in the next rows of a table.

        Of every tensor its name, direction and values: numbers as ``[rows, columns]``, or texts. Raises
        ValueError when tensors differ in their rows.
        """
    def add_message(self, method: str, direction: Literal["input", "output"], message: bytes) -> None:
        """Take in a message of a journal. Raises ValueError with the reason when it cannot be read."""
    def alarms(self) -> bytes:
        """Alarms since this was last called: JSON array of ``{"event": {...}, "drift": {...} or null}``."""
    def finish(self) -> bytes:
        """The alarms that are left when there are no more rows; as :meth:`alarms`."""
    def measured(self) -> bytes:
        """The panes closed last: JSON array of ``{"feature", "direction", "drift": {...}}``."""
    def snapshot(self, detail: bool = False) -> bytes:
        """JSON: everything that is seen of the rows so far, as an engine's snapshot has it of a model."""
    @property
    def rows(self) -> int:
        """Rows so far."""
    @property
    def fewest_rows(self) -> int:
        """Rows before which nothing is compared."""

def describe_profile(profile: bytes, detail: bool = False) -> dict[str, Any]:
    """What a profile file holds, with ``detail`` also the bins of every feature.

    ``{"model", "rows", "hash", "features": [{"name", "kind", "rows", ...}], "sections"}``. Raises
    ProfileError.
    """

def decode(method: str, direction: Literal["input", "output"], message: bytes) -> dict[str, Any]:
    """Read one message as the statistics do.

    ``{"model", "version", "id", "tensors": [{"name", "datatype", "shape", "values"}], "defects":
    {tensor: reason}, "error": message of a Triton stream or None}``. Raises ValueError with the reason
    when it cannot be read.
    """

def distance(name: str, reference: Sequence[int], current: Sequence[int], compat: str | None = None) -> float:
    """A binned distance between two vectors of counts of equal length, as exported in the snapshot.

    ``name`` is ``psi``, ``kullback_leibler`` (reference from current), ``kullback_leibler_reverse``,
    ``jensen_shannon``, ``hellinger``, ``total_variation``, ``l_infinity`` or ``chi_square``, or one of those
    that take the bins to be in ascending order: ``ks``, ``cramer_von_mises``, ``anderson_darling``.
    ``compat`` is ``evidently``, ``nannyml`` or ``frouros``: as that library has it. Raises ValueError.
    """

def noise(
    name: str, reference: Sequence[int], current: Sequence[int], chance: float = 0.001
) -> tuple[float | None, float | None]:
    """What undrifted samples of these sizes score on average, and exceed with the probability ``chance``.

    None where no law is known. Raises ValueError.
    """

def bracket(
    name: str,
    edges: npt.NDArray[np.float64],
    reference: npt.NDArray[np.float64],
    current: npt.NDArray[np.float64],
    discrete: bool = False,
) -> tuple[float, float]:
    """Between which bounds a distance of two samples lies, from nothing but their counts and sums in bins.

    ``name`` is ``ks``, ``cramer_von_mises``, ``wasserstein``, ``wasserstein_normalized`` or ``energy``.
    ``edges`` are 2 to 257 ends of bins, or with ``discrete`` up to 64 values of one bin each; values that are
    not finite are left out. Raises ValueError.
    """

@type_check_only
class Figures(TypedDict):
    """Measures of a classifier; None where one has no denominator."""

    rows: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    roc_auc: tuple[float, float, float] | None
    """If the rows of every bin are in the worst order, tied, and in the best."""
    accuracy_noise: float

@final
class ScoreTable:
    """Rows of one class against the rest, by score bin, prediction and label.

    Rows that come without labels count as negative; their labels are not looked at by :meth:`estimated`.
    """

    def __new__(cls) -> ScoreTable: ...
    def update(
        self,
        scores: npt.NDArray[np.float64],
        predicted: npt.NDArray[np.bool_],
        labels: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Raises ValueError when the lengths differ."""
    def merge(self, other: ScoreTable) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def beside(self) -> int: ...
    def counts(self) -> npt.NDArray[np.uint64]:
        """Shape (64, 2): score bin, predicted."""
    def estimated(self, reference: ScoreTable) -> Figures:
        """By the labels of ``reference``."""
    def realised(self) -> Figures: ...
    def calibration(self) -> tuple[list[float] | None, float | None, float | None]:
        """Isotonic probabilities by bin, where they help; calibration error of the scores, and of those."""
    def to_json(self) -> str: ...
    @staticmethod
    def from_json(text: str) -> ScoreTable: ...

def score_edges() -> list[float]: ...
def performance_of_classes(live: Sequence[ScoreTable], reference: Sequence[ScoreTable] | None) -> Figures:
    """Figures of a model from its classes against the rest; realised ones without a ``reference``."""

def profile_with_scores(
    profile: bytes, output: str, label_age_s: int | None, classes: Sequence[ScoreTable]
) -> bytes:
    """The profile file with these scores of output tensor ``output``. Raises ProfileError."""

def profile_scores(profile: bytes) -> tuple[str, int | None, list[ScoreTable]] | None:
    """Output, age of the labels in seconds, and tables by class; or None. Raises ProfileError."""

@final
class LossDetector:
    """An e-detector on the mean of a bounded loss."""

    def __new__(
        cls,
        reference: npt.NDArray[np.float64],
        bound: float,
        tolerance: float,
        arl: float,
        delta: float,
        pane_rows: int,
        clear_after: int,
    ) -> LossDetector:
        """Raises ConfigurationError."""
    def update(self, losses: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
        """The fields of ``LossAlarm`` and the shape, per alarm."""
    @property
    def evidence_bits(self) -> float: ...

@final
class AttributionDetector:
    """E-detectors on scores and on labels given the score."""

    def __new__(
        cls,
        scores: npt.NDArray[np.float64],
        labels: npt.NDArray[np.int64],
        classes: int,
        tolerance: float,
        arl: float,
        delta: float,
        pane_rows: int,
        clear_after: int,
    ) -> AttributionDetector:
        """Raises ConfigurationError, and ValueError for unequal lengths or too many classes."""
    def update(self, scores: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
        """The fields of ``AttributionAlarm`` per alarm. Raises ValueError for unequal lengths."""
    def split(self) -> dict[str, Any]:
        """The fields of ``Split``; the divergence as (score, label given score, joint)."""
    def evidence_bits(self) -> tuple[float, float]:
        """On scores, on labels given the score, in units of a pane."""

def divergence(
    reference_scores: npt.NDArray[np.float64],
    reference_labels: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    classes: int,
) -> tuple[float, float, float]:
    """Relative entropy in nats: of the scores, of labels given the score, joint. Raises ValueError."""

def merge_states(files: Sequence[tuple[str, bytes]], profiles: Sequence[bytes]) -> bytes:
    """Add up the state files of several sidecars, each with its name for messages.

    Counts, windows and histograms are those of one pass over everything; the order of the files changes no
    byte. ``profiles`` are those the sidecars were given. Raises StateError or ProfileError.
    """

def describe_state(name: str, file: bytes, profiles: Sequence[bytes], detail: bool = False) -> bytes:
    """What a state file holds, as JSON: the ``models`` of a snapshot. Raises StateError or ProfileError."""

@final
class CoMoments:
    """Means, variances and correlations."""

    def __new__(cls, columns: int) -> CoMoments:
        """Raises ValueError for more than 256."""
    def update(self, rows: npt.NDArray[np.float64]) -> int:
        """How many rows were passed over. Raises ValueError for other columns."""
    def merge(self, other: CoMoments) -> None:
        """Raises ValueError for other columns."""
    @property
    def rows(self) -> int: ...
    def correlations(self) -> npt.NDArray[np.float64]: ...
    def distance(self, live: CoMoments) -> tuple[float, float]:
        """Frobenius norm, and what chance makes of it. Raises ValueError."""

@final
class JointDetector:
    """E-detectors on numbers that know the joint distribution of the columns of a table."""

    def __new__(
        cls,
        reference: npt.NDArray[np.float64],
        columns: Sequence[str],
        *,
        features: int,
        pairs: int,
        principal: bool,
        seed: int,
        bins: int,
        tolerance: float,
        arl: float,
        delta: float,
        pane_rows: int,
        clear_after: int,
    ) -> JointDetector:
        """Raises ConfigurationError."""
    @property
    def names(self) -> list[str]: ...
    def update(self, rows: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
        """The fields of ``JointAlarm`` per alarm. Raises ValueError for other columns."""
    def project(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Raises ValueError for other columns."""
    def distances(self) -> dict[str, Any]:
        """The fields of ``JointDistances``."""
    def evidence_bits(self) -> list[float]: ...

@final
class JointBuilder:
    """Learns what is needed to watch the columns of an input together; rows come some at a time."""

    def __new__(cls, tensor: str, columns: Sequence[str], embedding: bool) -> JointBuilder: ...
    def add(self, rows: npt.NDArray[np.float64]) -> None:
        """Take in rows. Raises ValueError for other columns."""

    def added_to(self, profile: bytes) -> bytes:
        """The profile file with the map and the references of its numbers. Raises ProfileError."""
