"""Settings of what is kept and watched: sampling, statistics, alarms, journal."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pilotfish import _core
from pilotfish.metadata import forbidden
from pilotfish.settings.section import MetadataKey, Section, Text
from pilotfish.settings.units import Bytes, Flag, Millionths, Off, Seconds, Whole


def _writable(key: str) -> str:
    if forbidden(key):
        raise ValueError("carries credentials and is never written; take it out of the list")
    return key


def _each_once(formats: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(formats)) != len(formats):
        raise ValueError("names a format twice; name each one once")
    return formats


class Sampling(Section):
    """Which calls are kept, in the journal and as traces; decided when a call has ended."""

    share_ppm: Millionths = 10_000
    """Share of all calls, in parts per million; drawn by call id, so that every hop keeps the same calls."""
    errors: Flag = True
    """Keep every call whose status is not OK."""
    slower_than: Seconds | None = Field(default=None, gt=0, le=3600)
    """Keep every call that takes longer."""
    canary: Flag = False
    """Keep every call a candidate version answered."""


class TensorSettings(Section):
    """How one tensor is read."""

    kind: Literal["auto", "image", "category", "embedding", "ignore"] = "auto"
    """`auto` goes by datatype and shape; `image` adds brightness, contrast and size; `category` counts
    values; `embedding` watches an input vector as a whole and not its elements; `ignore` leaves it out."""
    names: tuple[Text, ...] = Field(default=(), max_length=65_536)
    """Names of its columns, in order; without them x[0], x[1], ..."""
    joint: Flag = False
    """Watch how the columns of an input go together, too: random Fourier features, products of pairs,
    and the reconstruction error of principal axes, up to 97 features more."""


class AlarmSettings(Section):
    """When a feature has changed."""

    detector: Literal["edetector", "threshold"] = "edetector"
    """`edetector` weighs evidence, with a guaranteed time between false alarms; `threshold` holds the
    distances below against their thresholds."""
    arl: Whole = Field(default=_core.ARL, ge=1, le=1_000_000_000_000)
    """Rows between false alarms of a model, all its features together: the mean is at least this
    (edetector)."""
    arl_time: Seconds | None = Field(default=None, gt=0, le=10 * 366 * 86_400)
    """The same as a time, such as 720h; it takes the place of `arl`."""
    tolerance: float = Field(default=_core.TOLERANCE, ge=0, le=10)
    """Ignore changes below: relative entropy from the profile, in nats; 0.0002 is a mean moved by 0.02
    standard deviations (edetector)."""
    delta: float = Field(default=_core.DELTA, gt=0, le=0.5)
    """Probability that the profile misleads because it has few rows; the smaller, the more cautious
    (edetector)."""
    psi: float | None = Field(default=0.2, gt=0, le=100)
    """Population stability index above which a pane counts as drifted (threshold). A distance that is
    null raises no alarm."""
    jensen_shannon: float | None = Field(default=None, gt=0, le=1)
    """Jensen-Shannon distance (0 to 1) above which a pane counts as drifted (threshold)."""
    ks: float | None = Field(default=None, gt=0, le=1)
    """Kolmogorov-Smirnov distance (0 to 1) above which a pane counts as drifted (threshold)."""
    raise_after: Whole = Field(default=2, ge=1, le=1000)
    """Panes in a row above the threshold that raise the alarm (threshold)."""
    clear_after: Whole = Field(default=_core.CLEAR_AFTER, ge=1, le=1000)
    """Panes in a row that clear it: without evidence of a change, or below `clear_ratio` times the
    threshold."""
    clear_ratio: float = Field(default=0.8, gt=0, le=1)
    """How far below the threshold a pane must fall to count towards clearing (threshold)."""


class VolumeSettings(Section):
    """How the number of calls of a version is watched: fewer, more and none at all are alarms."""

    interval: Seconds = Field(default=60.0, ge=1, le=86_400)
    """Time over which calls are counted."""
    learn: Seconds = Field(default=7 * 86_400, gt=0, le=366 * 86_400)
    """How long the norm is learned, from the first call on: a multiple of `period`."""
    period: Seconds | None = Field(default=86_400, gt=0, le=366 * 86_400)
    """A cycle that traffic follows; each of its 24 parts has a norm of its own. null: it follows none."""
    arl_time: Seconds = Field(default=30 * 86_400, gt=0, le=10 * 366 * 86_400)
    """Time between false alarms of the volume: the mean is at least this."""
    tolerance: float = Field(default=0.02, ge=0, le=10)
    """Ignore changes below: relative entropy of the counts from those that were learned, in nats; 0.02 is a
    mean moved by 0.2 standard deviations."""

    @model_validator(mode="after")
    def _whole_cycles(self) -> "VolumeSettings":
        learned, least = self.learn / self.interval, 32 * (1 if self.period is None else 24)
        if not least <= learned <= 100_000:
            raise ValueError(
                f"learns for {learned:.0f} intervals; write a learn of {least} to 100000 times the interval"
            )
        if self.period is not None and (self.period % (24 * self.interval) or self.learn % self.period):
            raise ValueError(
                "has no whole cycles; write a period of a multiple of 24 intervals, and a learn of a "
                "multiple of the period, or period: null where traffic follows no cycle"
            )
        return self


class MonitorSettings(Section):
    """The statistics of features and predictions."""

    enabled: Flag = True
    """Off, messages are not read: calls are still routed, counted, sampled and journalled."""
    values_per_second: Whole | None = Field(default=2_000_000, ge=1000, le=1_000_000_000_000)
    """Feature values that are counted per second, at most: they are what watching costs, a million per second
    about half a percent of a core. When more come, whole calls are left out of the statistics at random,
    whatever they hold, from the versions that have most. null counts all."""
    pane_rows: Whole = Field(default=1000, ge=10, le=10_000_000)
    """Rows after which the distances are computed anew."""
    pane_time: Seconds | None = Field(default=None, ge=1, le=30 * 86_400)
    """Time after which a pane is closed though it is not full, such as 10m; null waits for its rows."""
    window_panes: Whole = Field(default=4, ge=1, le=1000)
    """Closed panes that are kept."""
    windows: Annotated[Literal["full", "lean", "off"], Off] = "full"
    """Longer windows of a feature: `full` keeps the last hour, day and 30 days; `lean` the day and the 30
    days, in a fifth of the memory; `off` none."""
    window_rows: Whole | None = Field(default=None, ge=1, le=1_000_000_000)
    """Rows that stand for a minute in them; null goes by monotonic time."""
    bins: Whole = Field(default=32, ge=2, le=64)
    """Bins of a reference that is learned from live rows."""
    max_features: Whole = Field(default=4096, ge=1, le=65_536)
    """Features of one version; a tensor that does not fit is watched as one pooled feature, and counted as
    unwatched where even that one does not fit."""
    learn_rows: Whole = Field(default=2000, ge=0, le=1_000_000_000)
    """Rows that become the reference of a version without a profile; 0 learns none, so that nothing is
    compared."""
    tensors: dict[Text, TensorSettings] = Field(default={}, max_length=1024)
    """How single tensors are read, by name."""
    volume: VolumeSettings | None = None
    """Watch how many calls come, too; null does not. It learns by the clock, and takes a deployment or a
    holiday for what it is: a change."""
    alarm: AlarmSettings = AlarmSettings()
    """When a feature has drifted."""
    queue: Whole = Field(default=4096, ge=1, le=1_048_576)
    """Messages that may wait to be read; beyond it they are dropped and counted."""
    queue_bytes: Bytes = Field(default=64 * 1024**2, ge=64 * 1024, le=16 * 1024**3)
    """Memory those messages may take."""


class StateSettings(Section):
    """Where the statistics are kept over a restart: windows, evidence, alarms, a learned profile."""

    directory: Path
    """Folder of the file, of one sidecar alone; it is made when missing."""
    interval: Seconds = Field(default=10.0, ge=0.1, le=3600)
    """How often it is written: so much is lost when the process is killed."""


class JournalSettings(Section):
    """Where kept calls are written."""

    directory: Path
    """Folder of the files; it is made when missing."""
    formats: Annotated[tuple[Literal["jsonl", "parquet"], ...], AfterValidator(_each_once)] = Field(
        default=("jsonl",), min_length=1, max_length=2
    )
    """`jsonl`, `parquet` (needs `pip install 'pilotfish[parquet]'`) or both."""
    payloads: Flag = False
    """Write request and response messages too. They may hold personal data."""
    max_payload: Bytes = Field(default=64 * 1024, ge=0, le=64 * 1024**2)
    """A message is cut here; its length and hash stay."""
    metadata: tuple[Annotated[MetadataKey, AfterValidator(_writable)], ...] = Field(default=(), max_length=64)
    """Metadata keys that are written. All others are left out, and credentials always are."""
    rotate_bytes: Bytes = Field(default=64 * 1024**2, ge=4096, le=16 * 1024**3)
    """Size at which a new file is begun."""
    keep_files: Whole = Field(default=8, ge=1, le=100_000)
    """Files of each format that are kept; the oldest goes first."""
    queue: Whole = Field(default=1024, ge=1, le=1_048_576)
    """Kept calls that may wait to be written; beyond it they are dropped and counted."""
    flush_interval: Seconds = Field(default=1.0, ge=0.01, le=60)
    """How long a written call may stay in memory."""
