"""What can go wrong in pilotfish, as a tree.

* PilotfishError
  + UsageError            the command line asks for something that cannot be done
  + ConfigurationError    one or more settings cannot be used; what was in force stays
    + RestartNeeded       they can, but not without a restart
  + ProfileError          a profile file is missing, damaged, or of another format
  + StateError            a state file is missing, damaged, or does not add up with others
  + TableError            a data file cannot be read as columns of numbers and texts
  + AddressInUse          a port is taken by another process
  + AdminUnreachable      the admin port of a running sidecar does not answer

Leaf module, so that every layer can raise and catch these. Every message is one that can be shown to a user
as it is: it names the value and the remedy. Errors of other libraries are translated where they enter, ``from
exc``.
"""

from collections.abc import Sequence


class PilotfishError(Exception):
    """Anything pilotfish reports about itself, ready to be shown."""

    exit_code = 1
    """What the process ends with when nobody handles it: 1 is a failure, 2 is usage or configuration."""


class UsageError(PilotfishError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


class ConfigurationError(PilotfishError):
    """Settings that cannot be used. Holds all problems found, one line each, as ``file:line: path: ...``."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: Sequence[str] = problems


class RestartNeeded(ConfigurationError):  # noqa: N818 - says what is the case
    """Settings differ from those in force that cannot change while the sidecar runs."""


class ProfileError(PilotfishError):
    """A profile file is missing, damaged, or of another format."""


class StateError(PilotfishError):
    """A state file is missing, damaged, or does not add up with others."""


class TableError(PilotfishError):
    """A data file cannot be read as columns."""


class AddressInUse(PilotfishError):  # noqa: N818 - says what is the case, as in `BrokenPipeError` it would only be longer
    """An address to listen on is taken."""


class AdminUnreachable(PilotfishError):  # noqa: N818
    """The admin port of a running sidecar does not answer."""
