"""What a profile holds of the model as a whole, from a data file: scores with their labels, and joint maps.

Each is a pass of its own over the file, in bounded memory.
"""

from dataclasses import dataclass

import numpy as np

from pilotfish import _core
from pilotfish.errors import ProfileError, TableError
from pilotfish.statistics.features import Scores, feature_names
from pilotfish.table import Numbers, Table, Texts


@dataclass(frozen=True)
class Labelled:
    """Scores, and the column of what turned out to be true."""

    scores: Scores
    labels: str
    """0 and 1 (false and true) with one or two columns of scores, else numbers of classes from 0."""
    label_age_s: int | None = None


def with_scores(profile: bytes, table: Table, labelled: Labelled) -> bytes:
    """The profile with the scores and labels of all rows that have a label. Raises ProfileError, TableError.

    What was predicted is what the sidecar takes for predicted: a score of at least 0.5, or the largest.
    """
    width = len(labelled.scores.columns)
    classes = max(2, width)
    tables = [_core.ScoreTable() for _ in range(1 if classes == 2 else classes)]
    for chunk in table.chunks():
        labels = _numbers(labelled.labels, chunk[labelled.labels])
        scores = np.stack([_numbers(name, chunk[name]) for name in labelled.scores.columns], axis=1)
        known = ~np.isnan(labels)
        labels, scores = labels[known], scores[known]
        if wrong := sorted(set(labels.tolist()) - set(range(classes))):
            raise TableError(
                f"--labels {labelled.labels}: holds {wrong[0]:g}; write 0 or 1, or with a score per class "
                "the number of the class, from 0"
            )
        if classes == 2:
            predicted = scores[:, 0] >= 0.5 if width == 1 else scores[:, 1] > scores[:, 0]
            tables[0].update(np.ascontiguousarray(scores[:, -1]), predicted, labels == 1)
            continue
        best = np.where(np.isnan(scores), -np.inf, scores).argmax(axis=1)
        for number, counted in enumerate(tables):
            counted.update(np.ascontiguousarray(scores[:, number]), best == number, labels == number)
    if not tables[0].rows:
        raise TableError(
            f"--scores {','.join(labelled.scores.columns)}: no row has a label and a score from 0 to 1; "
            "scores are probabilities"
        )
    try:
        return _core.profile_with_scores(profile, labelled.scores.tensor, labelled.label_age_s, tables)
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc


def with_joint(profile: bytes, table: Table, tensor: str, *, embedding: bool) -> bytes:
    """The profile with what is needed to watch the columns of the table together, those of input ``tensor``.

    Of an ``embedding`` they are not watched one by one. Raises ProfileError, TableError.
    """
    names = feature_names(list(table.kinds), tensor)
    builder = _core.JointBuilder(tensor, list(names.values()), embedding)
    for chunk in table.chunks():
        builder.add(np.stack([_numbers(name, chunk[name]) for name in names], axis=1))
    try:
        return builder.added_to(profile)
    except _core.ProfileError as exc:
        raise ProfileError(str(exc)) from exc


def _numbers(name: str, values: Numbers | Texts) -> Numbers:
    if isinstance(values, np.ndarray):
        return values
    texts = [text for text in values if text is not None]
    raise TableError(f"the column {name!r} holds {str(texts[0]) if texts else 'texts'!r}; it must be numbers")
