"""The CPythons of this machine that a test can start: on PATH, in $SIDEWINDER_PYTHONS and in build/pythons.

$SIDEWINDER_PYTHONS is a list of paths with colons between: executables, or folders that are the root of a system
(`tools/pythons` makes such). Interpreters of a root are started with chroot, which needs root's rights; without them they
are left out. Each CPython is asked for its version once per test run; /usr/bin/python3 is always there.

    @every_interpreter
    def test_x(interpreter: Interpreter, sidewinder: Path) -> None:
        with interpreter.running("import time; print('up', flush=True); time.sleep(600)") as target:
            target.expect("up")
            ...  # target.pid is the process of the interpreter itself
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = re.compile(r"python3(\.\d+)?t?$")
FIRST_MINOR, LAST_MINOR = 8, 15
PATIENCE_S = 60.0
"""How long a test waits for what must happen; no test is decided by how long it takes."""

ASK = """
import json, os, platform, sys, sysconfig
print(json.dumps([list(sys.version_info[:3]), bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    os.path.realpath(sys.executable), platform.python_implementation(), platform.python_version()]))
"""


@dataclass(frozen=True)
class Interpreter:
    """One CPython."""

    executable: str
    """As the interpreter itself sees it: inside of `root`, if it has one."""
    version: tuple[int, int, int]
    version_text: str
    """As sidewinder shows it: "3.13.5", "3.14.0rc2", "3.13.5t"."""
    is_free_threaded: bool
    root: Path | None
    """The root folder of the system it belongs to; None: this one."""

    def __str__(self) -> str:
        return self.version_text + ("-root" if self.root else "")

    @property
    def minor(self) -> int:
        return self.version[1]

    def argv(self, *arguments: str) -> list[str]:
        """The command that runs it with these arguments; the process that it starts becomes the interpreter's."""
        prefix = ["chroot", str(self.root)] if self.root else []
        return [*prefix, self.executable, *arguments]

    @contextmanager
    def script(self, text: str) -> Iterator[str]:
        """A file with this program, at the path where the interpreter finds it; removed at the end."""
        folder = str(self.root / "tmp") if self.root else None
        with tempfile.TemporaryDirectory(dir=folder, prefix="sidewinder-") as made:
            Path(made).chmod(0o755)
            path = Path(made) / "target.py"
            path.write_text(text)
            yield "/" + str(path.relative_to(self.root)) if self.root else str(path)

    @contextmanager
    def running(self, text: str, *arguments: str) -> Iterator[Target]:
        """Starts this program; it is killed at the end."""
        with self.script(text) as path:
            argv = self.argv(path, *arguments)
            with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None) as process:
                try:
                    yield Target(process)
                finally:
                    process.send_signal(signal.SIGCONT)
                    process.kill()


class Target:
    """A program under a test."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        self.text = b""

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        while b"\n" not in self.text:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            got = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not got:
                why = "ended" if ready else f"said nothing for {PATIENCE_S:.0f} s"
                raise AssertionError(f"the target {why}; before that: {self.text!r}")
            self.text += got
        line, _, self.text = self.text.partition(b"\n")
        return line.decode()

    def expect(self, wanted: str) -> None:
        """Reads lines until this one."""
        while self.line() != wanted:
            pass

    def send(self, text: str) -> None:
        """Writes a line to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()


def ask(executable: str, root: Path | None) -> Interpreter | None:
    """What is this executable? None: no CPython of a known version, or it cannot be started."""
    argv = ["chroot", str(root), executable] if root else [executable]
    try:
        done = subprocess.run(
            [*argv, "-I", "-S", "-c", ASK], capture_output=True, text=True, timeout=PATIENCE_S, check=True
        )
        version, is_free_threaded, path, implementation, text = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if implementation != "CPython" or version[0] != 3 or not FIRST_MINOR <= version[1] <= LAST_MINOR:
        return None
    text = text.rstrip("+") + ("t" if is_free_threaded else "")
    return Interpreter(path, (version[0], version[1], version[2]), text, is_free_threaded, root)


def candidates() -> Iterator[tuple[str, Path | None]]:
    """Executables that may be CPythons, and the root each belongs to."""
    yield "/usr/bin/python3", None
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(":") if folder]
    for folder in folders:
        if folder.is_dir():
            yield from ((str(path), None) for path in sorted(folder.iterdir()) if NAME.match(path.name))
    listed = [Path(path) for path in os.environ.get("SIDEWINDER_PYTHONS", "").split(":") if path]
    made = ROOT / "build" / "pythons"
    listed += sorted(made.iterdir()) if made.is_dir() else []
    for path in listed:
        if path.is_file():
            yield str(path), None
        elif (path / "usr" / "bin").is_dir() and os.geteuid() == 0:
            names = sorted(entry.name for entry in (path / "usr" / "bin").iterdir() if NAME.match(entry.name))
            yield from (("/usr/bin/" + name, path.resolve()) for name in names)


@cache
def interpreters() -> tuple[Interpreter, ...]:
    """One interpreter for each version and place, oldest first."""
    found: dict[tuple[str, Path | None], Interpreter] = {}
    asked = set()
    for executable, root in candidates():
        place = (executable if root else os.path.realpath(executable), root)
        if place in asked:
            continue
        asked.add(place)
        interpreter = ask(executable, root)
        if interpreter:
            found.setdefault((interpreter.version_text, root), interpreter)
    return tuple(sorted(found.values(), key=lambda one: (one.version, one.is_free_threaded, str(one.root))))


def one_per_minor() -> tuple[Interpreter, ...]:
    """For tests that cost seconds each: the newest patch of each minor version and kind."""
    newest = {(one.minor, one.is_free_threaded): one for one in interpreters()}
    return tuple(newest.values())


every_interpreter = pytest.mark.parametrize("interpreter", interpreters(), ids=str)
every_minor = pytest.mark.parametrize("interpreter", one_per_minor(), ids=str)
