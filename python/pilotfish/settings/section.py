"""What every part of the settings has in common: frozen after validation, and closed against unknown keys."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Name = Annotated[str, Field(strict=True, pattern=f"^{NAME.pattern}$")]
"""Name of a version or a route: 1 to 64 letters, digits, ``.``, ``_``, ``-``; it becomes a label of
metrics."""

Text = Annotated[str, Field(strict=True, min_length=1, max_length=512)]
"""A text that is not empty."""

MetadataKey = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9_.-]{1,128}$")]
"""A gRPC metadata key, lower-case as on the wire."""


class Section(BaseModel):
    """One mapping of the configuration. The attribute docstrings are the reference users read."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # values reach messages only through `problem`, which knows what is secret
        validate_default=False,
    )
