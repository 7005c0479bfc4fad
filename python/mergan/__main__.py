"""The command ``mergan``, also as ``python -m mergan``."""

import os
import signal
import sys

from . import _mergan


def main() -> None:
    """Runs the command with the arguments of this process, and ends the process."""
    # The command has its own handling of Ctrl-C, and where it has none, Ctrl-C ends it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    is_module = os.path.basename(sys.argv[0]) == "__main__.py"
    program = [sys.executable, "-m", "mergan"] if is_module else [sys.argv[0]]
    sys.exit(_mergan.command(program, sys.argv[1:]))


if __name__ == "__main__":
    main()
