"""Eight rows of eight pixels as text: what the camera sees, and how far each pixel has drifted.

Drawn in colour over shades of the same block, so that a terminal without colours shows them too.
"""

from collections.abc import Callable, Sequence

import numpy as np
from rich.text import Text

from pilotfish.demo.configuration import PSI_FAR
from pilotfish.demo.lens import FULL, Images

SIDE = 8
FULL_HEAT = 5 * PSI_FAR
"""Drift that is drawn as hot as can be."""
_SHADES = " ░▒▓█"


def camera(image: Images) -> Text:
    """One image, shape ``(1, 8, 8)``."""
    return _grid([float(ink) / FULL for ink in np.asarray(image).ravel()], _grey)


def heat(scores: Sequence[float | None]) -> Text:
    """The drift of each pixel, row by row; None where nothing has been compared yet."""
    return _grid([0.0 if score is None else score / FULL_HEAT for score in scores], _glow)


def _grid(levels: Sequence[float], colour: Callable[[float], str]) -> Text:
    text = Text()
    for number, given in enumerate(levels):
        level = min(1.0, max(0.0, given))
        text.append(_SHADES[round(level * 4)] * 2, style=f"{colour(level)} on {colour(level)}")
        if number % SIDE == SIDE - 1:
            text.append("\n")
    return text


def _grey(level: float) -> str:
    value = round(20 + 225 * level)
    return f"rgb({value},{value},{value})"


def _glow(level: float) -> str:
    """From nearly black over red to yellow."""
    red, green = min(1.0, 2 * level), max(0.0, 2 * level - 1)
    return f"rgb({round(28 + 227 * red)},{round(28 + 180 * green)},28)"
