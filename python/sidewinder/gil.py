"""The GIL heartbeat monitor: `python -m sidewinder.gil --workers 2 --duration 10`.

Runs `sidewinder gil` with this interpreter as its subject (unless --python names others). Every option of the command is
taken; `sidewinder gil --help` lists them. Linux only.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["command", "main"]


def command(arguments: Sequence[str]) -> list[str]:
    """The words of the command to run: the `sidewinder` beside this interpreter, else the one in PATH.

    Raises FileNotFoundError when there is none.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    program = shutil.which("sidewinder", path=places)
    if program is None:
        raise FileNotFoundError(
            "the command `sidewinder` is neither beside this interpreter nor in PATH; install the package"
        )
    names_python = any(word == "--python" or word.startswith("--python=") for word in arguments)
    chosen = [] if names_python else ["--python", sys.executable]
    return [program, "gil", *chosen, *arguments]


def main(arguments: Sequence[str]) -> None:
    """Becomes the command; returns only by raising, SystemExit with a message when there is none that can be run."""
    try:
        words = command(arguments)
        os.execv(words[0], words)
    except OSError as error:
        sys.exit(f"sidewinder.gil: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
