"""The terminal of whoever asks: what strangers have named is shown there, and never obeyed.

Models, tensors and methods bear the names that clients gave them. A control character in one would reach the
terminal, and brackets be taken for `rich`'s markup.
"""

from typing import Any

from rich.console import Console

from pilotfish.log import escaped

_WIDTH = 132
"""Where the output is not a terminal."""


def console() -> Console:
    """What to print on: texts are as they are."""
    made = Console(markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = max(made.width, _WIDTH)
    return made


def visible(value: Any) -> Any:
    """Plain data, its control characters made visible."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, dict):
        return {escaped(key): visible(held) for key, held in value.items()}
    return [visible(item) for item in value] if isinstance(value, list) else value
