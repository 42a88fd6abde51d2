"""Streams whose concept is known, as river makes them: SEA (Street and Kim, KDD 2001) and STAGGER
(Schlimmer and Granger, Machine Learning 1986); and models that were trained before anything changed.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Inputs = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Random = np.random.Generator

SEA_THRESHOLDS = (8.0, 9.0, 7.0, 9.5)
SEA_NOISE = 0.1


def sea_inputs(random: Random, rows: int) -> Inputs:
    return random.uniform(0, 10, (rows, 3))


def sea_labels(random: Random, inputs: Inputs, concept: int) -> Labels:
    """Whether the first two add up to more than a threshold; one label of ten is wrong."""
    labels = inputs[:, 0] + inputs[:, 1] > SEA_THRESHOLDS[concept]
    return np.where(random.random(len(inputs)) < SEA_NOISE, ~labels, labels).astype(np.int64)


def stagger_inputs(random: Random, rows: int) -> Inputs:
    """Size (small, medium, large), color (red, blue, green), shape (circle, square, triangle)."""
    return random.integers(0, 3, (rows, 3)).astype(np.float64)


def stagger_labels(random: Random, inputs: Inputs, concept: int) -> Labels:
    size, color, shape = inputs.T
    rules: tuple[Callable[[], npt.NDArray[np.bool_]], ...] = (
        lambda: (size == 0) & (color == 0),
        lambda: (color == 2) | (shape == 0),
        lambda: (size == 1) | (size == 2),
    )
    return rules[concept]().astype(np.int64)


def logistic_model(inputs: Inputs, labels: Labels) -> Callable[[Inputs], npt.NDArray[np.float64]]:
    """Logistic regression by Newton's method."""

    def design(rows: Inputs) -> Inputs:
        return np.column_stack([np.ones(len(rows)), rows])

    weights, rows = np.zeros(inputs.shape[1] + 1), design(inputs)
    for _ in range(12):
        score = 1 / (1 + np.exp(-rows @ weights))
        curvature = rows.T @ (rows * (score * (1 - score))[:, None]) + 1e-6 * np.eye(rows.shape[1])
        weights += np.linalg.solve(curvature, rows.T @ (labels - score))
    return lambda other: 1 / (1 + np.exp(-design(other) @ weights))


def table_model(inputs: Inputs, labels: Labels) -> Callable[[Inputs], npt.NDArray[np.float64]]:
    """The share of ones among rows with the same values, half a row added to each side."""

    def cell(rows: Inputs) -> Labels:
        return (rows @ np.array([9, 3, 1])).astype(np.int64)

    ones = np.bincount(cell(inputs), weights=labels, minlength=27) + 0.5
    shares = ones / (np.bincount(cell(inputs), minlength=27) + 1)
    return lambda other: shares[cell(other)]
