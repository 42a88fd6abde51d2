"""``python -m pilotfish``: the same as the command ``pilotfish``."""

from pilotfish.cli import main

if __name__ == "__main__":
    main()
