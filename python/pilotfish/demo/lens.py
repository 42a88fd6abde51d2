"""The camera's lens: what dirt does to an image before the model sees it.

It is the cause of every drift in the demo, and the only place that knows when one really began. Pure: images
in, images out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]
"""Shape ``(rows, 8, 8)``, ink from 0 (paper) to 16 (full)."""

FULL = 16.0
GREY = FULL / 2
PIXELS = 64


@dataclass(frozen=True, slots=True)
class Lens:
    """What lies between the digits and the model."""

    haze: float = 0.0
    """Share of the light replaced by even grey, 0 (clean) to 1 (blind)."""
    stuck: int | None = None
    """Number of the pixel (row by row, 0 to 63) that always reads full, or None."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.haze <= 1.0:
            raise ValueError(f"haze {self.haze} is not a share: give a number from 0 to 1")
        if self.stuck is not None and not 0 <= self.stuck < PIXELS:
            raise ValueError(f"there is no pixel {self.stuck}: they are numbered 0 to {PIXELS - 1}")

    def see(self, images: Images) -> Images:
        """The images as the camera delivers them; the given ones are left as they are."""
        seen: Images = images * np.float32(1.0 - self.haze) + np.float32(self.haze * GREY)
        if self.stuck is not None:
            seen.reshape(len(seen), PIXELS)[:, self.stuck] = FULL
        return seen
