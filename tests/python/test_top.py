"""`sidewinder top` in a terminal: its keys, sizes and ends; and as plain text.

The terminal is a pseudo-terminal whose output goes through a small screen that knows the sequences which top uses, and fails
at any other and at text beyond the edge. Tests wait for what must appear.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.python.interpreters import PATIENCE_S, Interpreter, Target, every_minor, interpreters

PROGRAM = """
import sys, threading
def burn_one():
    while True:
        pass
def burn_two():
    while True:
        for i in range(1000):
            pass
def parked(gate=threading.Event()):
    gate.wait()
threading.Thread(target=burn_two, name="two", daemon=True).start()
threading.Thread(target=parked, daemon=True).start()
def waiting():
    sys.stdin.readline()
print("up", flush=True)
threading.Thread(target=burn_one, daemon=True).start()
waiting()
"""

STRANGE = """
import time
def \u6f22\u5b57\u306e\u95a2\u6570_caf\u00e9():
    while True:
        pass
exec(compile("def f():\\n    while True: pass\\n", "evil\\x1b[31m\\r\\n\\u202eeman.py", "exec"))
import threading
threading.Thread(target=f, daemon=True).start()
def a_function_whose_name_is_so_long_that_it_has_to_be_cut_somewhere_and_that_is_in_the_middle_of_it_THE_END():
    while True:
        pass
threading.Thread(
    target=a_function_whose_name_is_so_long_that_it_has_to_be_cut_somewhere_and_that_is_in_the_middle_of_it_THE_END,
    daemon=True).start()
print("up", flush=True)
\u6f22\u5b57\u306e\u95a2\u6570_caf\u00e9()
"""

PLAIN = [one for one in interpreters() if not one.is_free_threaded and not one.root][-1]
SEQUENCE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")
WIDE = re.compile(r"[\u3041-\u33ff\u4e00-\u9fff]")


class Terminal:
    """top in a pseudo-terminal, and what its screen shows."""

    def __init__(self, pid: int, fd: int, columns: int, rows: int) -> None:
        self.pid, self.fd = pid, fd
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.x = self.y = 0
        self.is_alternate = self.has_cursor = False
        self.styles: set[str] = set()
        self.pending = b""
        self.left = 0
        """How often the alternate screen was left."""
        self.beyond = ""
        self.is_over = False

    def sequence(self, parameters: str, final: str) -> None:
        if final == "H":
            row, column = parameters.split(";")
            self.y, self.x = int(row) - 1, int(column) - 1
        elif final == "K" and self.y >= self.rows:
            pass  # drawn for a higher screen, before the resize was noticed
        elif final == "K":
            self.cells[self.y][self.x :] = [" "] * (self.columns - self.x)
        elif final == "J":
            self.cells = [[" "] * self.columns for _ in range(self.rows)]
        elif final == "m":
            self.styles.add(parameters)
        elif parameters == "?1049":
            self.is_alternate = final == "h"
            self.left += final == "l"
            self.cells = [[" "] * self.columns for _ in range(self.rows)]
            self.x = self.y = 0
        elif parameters == "?25":
            self.has_cursor = final == "h"
        else:
            raise AssertionError(f"unknown sequence {parameters}{final}")

    def put(self, character: str) -> None:
        if not self.is_alternate and character in "\r\n\t\a":  # the shell's
            self.x, self.y = 0, min(self.y + (character == "\n"), self.rows - 1)
            return
        width = 2 if WIDE.match(character) else 1
        assert character.isprintable(), repr(character)
        if self.y >= self.rows or self.x + width > self.columns:
            self.beyond += character
            return
        self.cells[self.y][self.x : self.x + width] = [character, ""][:width]
        self.x += width

    def feed(self, got: bytes) -> None:
        text = (self.pending + got).decode("utf-8", "surrogateescape")
        self.pending = b""
        while text:
            match = SEQUENCE.match(text)
            if match:
                self.sequence(*match.groups())
                text = text[match.end() :]
            elif (text[0] == "\x1b" and len(text) < 16) or (ord(text[0]) >= 0xDC80 and len(text) < 4):
                self.pending = text.encode("utf-8", "surrogateescape")
                return
            else:
                self.put(text[0])
                text = text[1:]

    def pump(self, seconds: float) -> None:
        """Takes what comes within that time, or one piece of it."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        try:
            got = os.read(self.fd, 65536) if ready else None
        except OSError:  # the other side is closed
            got = b""
        if got:
            self.feed(got)
        elif got is not None:
            self.is_over = True

    @property
    def lines(self) -> list[str]:
        return ["".join(row).rstrip() for row in self.cells]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, is_reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_reached():
            assert not self.is_over, f"it has ended:\n{self.text}"
            assert time.monotonic() < deadline, f"never came:\n{self.text}"
            self.pump(0.2)

    def until_shows(self, *wanted: str) -> None:
        self.until(lambda: all(one in self.text for one in wanted))

    def until_has(self, pattern: str) -> None:
        self.until(lambda: re.search(pattern, self.text, re.MULTILINE) is not None)

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """All that was drawn for the old size has come by then, or is told apart by the size of the new picture."""
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.beyond = ""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self) -> int:
        """The exit code, after all output was taken."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if not self.is_over:
                self.pump(0.1)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if self.is_over:
                time.sleep(0.02)
        raise AssertionError(f"it does not end:\n{self.text}")


@contextmanager
def topping(
    sidewinder: Path,
    pid: int,
    *words: str,
    size: tuple[int, int] = (80, 24),
    env: dict[str, str] | None = None,
    shell: str = "",
) -> Iterator[Terminal]:
    environment = {"LANG": "C.UTF-8", "TERM": "xterm-256color", "PATH": os.environ["PATH"], **(env or {})}
    argv = [str(sidewinder), "top", str(pid), *words]
    if shell:
        argv = ["/bin/sh", "-c", shell, "sh", *argv]
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    child = os.fork()
    if child == 0:
        take_terminal(slave)
        os.execve(argv[0], argv, environment)
    terminal = Terminal(child, master, *size)
    try:
        terminal.until(lambda: terminal.is_alternate or refused(terminal))
        yield terminal
        assert not terminal.beyond, f"text beyond the edge: {terminal.beyond!r}"
    finally:
        if terminal.pid:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(slave)
        os.close(master)


def take_terminal(slave: int) -> None:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)


def refused(terminal: Terminal) -> bool:
    if "ptrace_scope" in terminal.text or "CAP_SYS_PTRACE" in terminal.text:
        pytest.skip("reading another process is not permitted here")
    return False


@contextmanager
def target(text: str = PROGRAM, interpreter: Interpreter = PLAIN) -> Iterator[Target]:
    with interpreter.running(text) as made:
        made.expect("up")
        yield made


@every_minor
def test_what_is_shown(interpreter: Interpreter, sidewinder: Path) -> None:
    with target(PROGRAM, interpreter) as program, topping(sidewinder, program.pid, size=(130, 40)) as top:
        top.until_shows("burn_one", "burn_two", f"pid {program.pid}", f"CPython {interpreter.version_text}")
        top.until(lambda: re.search(r"^CPU [0-9.]+ %  RSS [0-9.]+ MiB  threads 4  GIL held", top.lines[1]) is not None)
        assert re.search(r"\d+ samples: \d+ exact, \d+ partial, \d+ failed .*own CPU", top.lines[2])
        assert "functions of threads on a CPU by self" in top.lines[3]
        rows = [line for line in top.lines if "burn_" in line and ".py:" in line]
        for row in rows:
            assert re.match(r" *[0-9.]+ +[0-9.]+ +\d+  burn_(one|two) +.*target\.py:\d+$", row), row
        top.press("q")
        assert top.wait() == 0
        assert not top.is_alternate
        assert top.has_cursor
        assert program.process.poll() is None


def test_keys(sidewinder: Path) -> None:
    with target() as program, topping(sidewinder, program.pid) as top:
        top.until_shows("burn_one", "by self")
        top.press("i")
        top.until_shows("all threads", "parked", "waiting")
        top.press("t")
        top.until_shows("by total")
        top.press(">")
        top.until_shows("by samples")
        top.press("\x1b[D")
        top.until_shows("by total")
        top.press("s")
        top.until_shows("by self")
        top.press("/PARK\r")
        top.until(lambda: "filter: PARK" in top.text and "burn_one" not in top.text.split("TID")[0])
        assert "parked" in top.text
        top.press("/\x1b")
        top.until(lambda: "filter" not in top.lines[3] and "burn_one" in top.text.split("TID")[0])
        top.press("l")
        top.until_shows("lines of all threads", "burn_two")
        top.press("f")
        top.until_shows("functions of all threads")
        top.press("g")
        top.until_shows("the GIL's holder", "burn_")
        top.press("h")
        top.until(lambda: "FILE:LINE" not in top.text and "TID" in top.text)
        top.press("h")
        top.until_shows("FILE:LINE", "TID")
        top.press("?")
        top.until_shows("any key goes back")
        top.press("x")
        top.until_shows("FILE:LINE")
        top.press("r q")
        assert top.wait() == 0


def test_a_paused_picture_stands_still(sidewinder: Path) -> None:
    """The same lines are there however often it is redrawn, and go on afterwards."""
    with target() as program, topping(sidewinder, program.pid, "--delay", "50ms") as top:
        top.until_shows("burn_one")
        top.press(" ")
        top.until_shows("PAUSED")
        before = top.lines[:4]  # lines are sent from the top down, so these are whole
        for _ in range(5):
            top.press("?")
            top.until_shows("any key goes back")
            top.press("x")
            top.until_shows("FILE:LINE")
            assert top.lines[:4] == before
        top.press(" ")
        top.until(lambda: "PAUSED" not in top.text and top.lines[2] != before[2])


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (300, 100), (40, 10), (20, 5), (3, 2), (1, 1)])
def test_sizes(sidewinder: Path, size: tuple[int, int]) -> None:
    """Text beyond the edge fails in `topping`."""
    with target() as program, topping(sidewinder, program.pid, "--idle", size=size) as top:
        if size[0] >= 80:
            top.until_shows("burn_one", "q quit", "TID")
            assert all(len(line) <= size[0] for line in top.lines)
        else:
            top.until(lambda: top.lines[-1] != "")
        for key in ("\x1b[6~", "\x1b[F", "\x1b[A", "\x1b[H", "h", "\x1b[6~", "?"):
            top.press(key)
        top.press("xq")
        assert top.wait() == 0


def test_resizing(sidewinder: Path) -> None:
    with target() as program, topping(sidewinder, program.pid) as top:
        top.until_shows("burn_one", "q quit")
        top.resize(200, 50)
        top.until(lambda: "q quit" in top.lines[49] and "/ filter" in top.lines[49])
        top.until_shows("burn_one")
        top.resize(80, 24)
        top.until(lambda: "q quit" in top.lines[23] and "burn_one" in top.text)
        top.beyond = ""  # a picture of the wide screen may have been on its way
        top.press("q")
        assert top.wait() == 0


@pytest.mark.parametrize("lang", ["C.UTF-8", "C"])
def test_strange_names(sidewinder: Path, lang: str) -> None:
    """The screen fails at control characters and unknown sequences."""
    with target(STRANGE) as program, topping(sidewinder, program.pid, env={"LANG": lang}) as top:
        top.until_shows("a_function", "THE_END", "evil?[31m??")
        top.until_shows("\u6f22\u5b57\u306e\u95a2\u6570_caf\u00e9" if lang == "C.UTF-8" else "????")
        assert lang == "C.UTF-8" or top.text.isascii()
        top.press("q")
        assert top.wait() == 0


def test_the_last_picture_stays(sidewinder: Path) -> None:
    with target() as program, topping(sidewinder, program.pid) as top:
        top.until_shows("burn_one")
        program.process.kill()
        program.process.wait(PATIENCE_S)
        top.until_shows("THE PROCESS HAS ENDED", "burn_one", "q quits")
        top.press("t")
        top.until_shows("by total", "burn_one")
        for key in "gilfr":
            top.press(key)
        top.press("q")
        assert top.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_give_the_terminal_back(sidewinder: Path, number: signal.Signals) -> None:
    with target() as program, topping(sidewinder, program.pid) as top:
        before = termios.tcgetattr(top.fd)
        assert not before[3] & termios.ECHO
        top.until_shows("burn_one")
        os.kill(top.pid, number)
        assert top.wait() == 0
        assert not top.is_alternate
        assert top.has_cursor


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT])
def test_crashes_give_the_terminal_back(sidewinder: Path, number: signal.Signals) -> None:
    with target() as program, topping(sidewinder, program.pid) as top:
        top.until_shows("burn_one")
        os.kill(top.pid, number)
        assert top.wait() == -number
        assert not top.is_alternate
        assert top.has_cursor


def test_stopping_and_going_on(sidewinder: Path) -> None:
    """Ctrl-Z and fg in a shell with job control."""
    script = 'set -m; "$@"; for i in 1 2; do echo STOPPED; read x; fg; done; echo LAST'
    with target() as program, topping(sidewinder, program.pid, shell=script) as top:
        for _ in range(2):
            top.until(lambda: top.is_alternate and "burn_one" in top.text and "q quit" in top.text)
            top.press("\x1a")
            top.until(lambda: not top.is_alternate and top.has_cursor)
            top.until_shows("STOPPED")
            assert termios.tcgetattr(top.fd)[3] & termios.ECHO
            top.press("\n")
        top.until(lambda: top.is_alternate and "burn_one" in top.text and "q quit" in top.text)
        top.press("q")
        top.until_shows("LAST")
        assert not top.is_alternate
        assert top.wait() == 0
        top.beyond = ""  # the shell knows no edges


def test_it_goes_on_where_nothing_could_continue_it(sidewinder: Path) -> None:
    """Leading its own session, as in `ssh -t host sidewinder top`: the kernel ignores the stop."""
    with target() as program, topping(sidewinder, program.pid) as top:
        top.until_shows("burn_one")
        os.kill(top.pid, signal.SIGTSTP)
        top.until(lambda: top.left > 0 and top.is_alternate and "burn_one" in top.text and "q quit" in top.text)
        assert not termios.tcgetattr(top.fd)[3] & termios.ECHO
        top.press("q")
        assert top.wait() == 0


def test_colours(sidewinder: Path) -> None:
    with target() as program:
        for words, env, is_coloured in (
            ((), {}, True),
            ((), {"NO_COLOR": "1"}, False),
            ((), {"TERM": "dumb"}, False),
            (("--color", "never"), {}, False),
            (("--color", "always"), {"NO_COLOR": "1"}, True),
        ):
            with topping(sidewinder, program.pid, *words, env=env) as top:
                top.until_has(r"^ *[3-9]\d\.\d .*burn_")
                top.press("q")
                assert top.wait() == 0
                assert any("3" in style for style in top.styles) == is_coloured, (words, env, top.styles)


def frames_print(sidewinder: Path, pid: int) -> list[str]:
    argv = [str(sidewinder), "top", str(pid), "--frames", "3", "--idle", "--delay", "200ms"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode and ("ptrace_scope" in done.stderr or "CAP_SYS_PTRACE" in done.stderr):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    frames = done.stdout.split("\n\n")
    assert len(frames) == 3
    return frames


def test_plain_text(sidewinder: Path) -> None:
    """Again until the program's threads are where they stay."""
    deadline = time.monotonic() + PATIENCE_S
    with target() as program:
        frames = [""]
        while not all(name in frames[-1] for name in ("parked", "burn_one", "burn_two", "waiting")):
            assert time.monotonic() < deadline, frames[-1]
            frames = frames_print(sidewinder, program.pid)
            for frame in frames:
                assert "\x1b" not in frame
                assert f"pid {program.pid}" in frame
                assert re.search(r"^CPU [0-9.]+ %", frame, re.MULTILINE)


def test_usage(sidewinder: Path) -> None:
    cases = {
        (): "process id",
        ("x",): "no process id",
        ("1", "2"): "one process at a time",
        ("1", "--gil", "--idle"): "exclude each other",
        ("1", "--sort", "size"): "expected self, total or samples",
        ("1", "--color", "red"): "expected auto, always or never",
        ("1", "--frames", "0"): "from 1 on",
        ("1", "--rate", "1e9"): "from 1 to 10000",
        ("1", "--delay", "1ms"): "from 50ms to 1h",
        ("1", "--filter", "x" * 100): "at most 63 bytes",
    }
    for words, said in cases.items():
        done = subprocess.run(
            [str(sidewinder), "top", *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 2, (words, done.stderr)
        assert said in done.stderr, (words, done.stderr)


def test_without_a_terminal(sidewinder: Path) -> None:
    with target() as program:
        argv = [str(sidewinder), "top", str(program.pid)]
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 1
        assert done.stdout == ""
        if "ptrace_scope" not in done.stderr and "CAP_SYS_PTRACE" not in done.stderr:
            assert "--frames N" in done.stderr
