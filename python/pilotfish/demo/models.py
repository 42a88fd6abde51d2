"""The models behind the sidecar: three small classifiers of scikit-learn's bundled handwritten digits.

They are real, and trained where they are needed in well under a second, so that nothing has to be downloaded
or unpickled. One half of the digits is for training and for the profile; the other half is the live traffic,
which no model has seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from pilotfish._core import ProfileBuilder
from pilotfish.demo.lens import PIXELS, Images

NAME = "digits"
CLASSES = 10
FOLDS = 5
BINS = 16
"""Of the profiles. A half of the digits has 898 rows: more bins would hold too few of them to be compared
with."""

Labels: TypeAlias = npt.NDArray[np.int64]
Probabilities: TypeAlias = npt.NDArray[np.float32]
"""Shape ``(rows, 10)``."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Images and what they show."""

    images: Images
    labels: Labels


class SupportVectors(SVC):  # type: ignore[misc] # scikit-learn ships no types
    """Support vectors whose probabilities are the softmax of the margins, which costs no second fit."""

    def predict_proba(self, flat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Shape ``(rows, classes)``."""
        margins = self.decision_function(flat)
        weights = np.exp(2.0 * (margins - margins.max(axis=1, keepdims=True)))
        shares: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return shares


VERSIONS: Mapping[str, Callable[[], Any]] = {
    "v1": lambda: KNeighborsClassifier(n_neighbors=5),
    "v2": lambda: SupportVectors(C=5.0, gamma=0.001),
    "v3": lambda: SupportVectors(C=1.0, kernel="poly", gamma=0.001),
}


class Model:
    """One trained version."""

    def __init__(self, version: str, training: Digits) -> None:
        """Train ``version`` (a key of ``VERSIONS``) on ``training``."""
        self._classifier = VERSIONS[version]()
        self._classifier.fit(flat(training.images), training.labels)

    def probabilities(self, images: Images) -> Probabilities:
        """How sure the model is of each class, per image."""
        found: Probabilities = self._classifier.predict_proba(flat(images)).astype(np.float32)
        return found


def halves(seed: int) -> tuple[Digits, Digits]:
    """The training half and the live half, split at random by ``seed``."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    images = digits.images.astype(np.float32)[order]
    labels = digits.target.astype(np.int64)[order]
    middle = len(order) // 2
    return Digits(images[:middle], labels[:middle]), Digits(images[middle:], labels[middle:])


def profile(version: str, training: Digits) -> bytes:
    """The reference profile of ``version``: the training half as the model sees it, and what it answers.

    The answers are cross-validated: those of a model to its own training rows are surer than any live answer
    can be, and a profile of them would call the first clean day a drift.
    """
    builder = ProfileBuilder(NAME, BINS)
    pixels = flat(training.images)
    for pixel in range(PIXELS):
        builder.add_numbers(f"image[{pixel}]", "input", np.ascontiguousarray(pixels[:, pixel]))
    builder.add_numbers("image.brightness", "input", pixels.mean(axis=1))
    builder.add_numbers("image.contrast", "input", pixels.std(axis=1))
    answers = cross_val_predict(
        VERSIONS[version](), pixels, training.labels, cv=FOLDS, method="predict_proba"
    ).astype(np.float32)
    builder.add_numbers("label", "output", answers.argmax(axis=1).astype(np.float64))
    builder.add_numbers("proba.class", "output", answers.argmax(axis=1).astype(np.float64))
    builder.add_numbers("proba.score", "output", answers.max(axis=1).astype(np.float64))
    for digit in range(CLASSES):
        builder.add_numbers(f"proba[{digit}]", "output", answers[:, digit].astype(np.float64))
    return builder.finish()


def flat(images: Images) -> npt.NDArray[np.float64]:
    """One row of 64 numbers per image."""
    return images.reshape(len(images), PIXELS).astype(np.float64)
