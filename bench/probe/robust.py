"""Attaches, and kills sidewinder or the target at random moments: targets must be unharmed, sidewinder must end well.

    python bench/probe/robust.py [--rounds 1000] [--seed 1] [--sidewinder build/sidewinder]

Half of the rounds kill sidewinder (SIGKILL) while it reads a program that goes on; the program must then answer, and none
of its threads may be stopped or traced. The other half kills the program while it is read, some of them before Python has
started in it; sidewinder must end by itself, by no signal, with exit code 0, or 1 and a message. Bar: 1,000 rounds
without a fault. Ends with exit code 1 when there was one.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.python.interpreters import Interpreter, Target, interpreters  # noqa: E402

PATIENCE_S = 60.0
"""For what must happen at all; nothing here is decided by how long it takes."""

PROGRAM = """\
import sys, threading
def deep(n):
    if n:
        return deep(n - 1)
    return [i for i in range(50)]
def spin():
    while True:
        for n in range(40):
            deep(n)
def churn():
    while True:
        thread = threading.Thread(target=deep, args=(20,))
        thread.start()
        thread.join()
for function in (spin, churn):
    threading.Thread(target=function, daemon=True).start()
print("up", flush=True)
for line in sys.stdin:
    print("echo", line.strip(), flush=True)
"""

WAYS = (
    ["--idle", "-r", "20000"],
    ["-r", "20000"],
    ["--gil", "-r", "5000"],
    ["--wait", "-r", "5000"],
    ["--idle", "--subprocesses", "-r", "2000"],
)


class FaultError(Exception):
    """Something that must not happen."""


def is_harmed(pid: int) -> str:
    """Why a process is not as it should be; "" when all its threads run or sleep, untraced."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            text = (task / "status").read_text()
        except OSError:
            continue  # a thread that ended
        state = re.search(r"^State:\s*(\w)", text, re.MULTILINE)
        tracer = re.search(r"^TracerPid:\s*(\d+)", text, re.MULTILINE)
        if state and state[1] in "TtZX":
            return f"thread {task.name} is in state {state[1]}"
        if tracer and tracer[1] != "0":
            return f"thread {task.name} is traced by {tracer[1]}"
    return ""


def record(sidewinder: Path, pid: int, way: list[str]) -> subprocess.Popen[bytes]:
    words = [str(sidewinder), "record", str(pid), "-o", "/dev/null", "--format", "collapsed", *way]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def ending(process: subprocess.Popen[bytes]) -> str:
    """The stderr of a sidewinder that has to end by itself."""
    try:
        _, stderr = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise FaultError(f"sidewinder did not end within {PATIENCE_S:.0f} s") from None
    return stderr.decode(errors="replace")


def round_of_killed_sidewinder(sidewinder: Path, target: Target, chance: random.Random, number: int) -> None:
    process = record(sidewinder, target.pid, chance.choice(WAYS))
    time.sleep(chance.random() ** 2 * 0.1)
    process.kill()
    _, stderr = process.communicate()
    if process.returncode == 1:
        raise FaultError("sidewinder refused: " + stderr.decode(errors="replace"))
    target.send(str(number))
    target.expect(f"echo {number}")
    harm = is_harmed(target.pid)
    if harm:
        raise FaultError(harm)


def round_of_dying_target(sidewinder: Path, interpreter: Interpreter, path: str, chance: random.Random) -> None:
    with subprocess.Popen(
        interpreter.argv(path), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as target:
        try:
            time.sleep(chance.random() ** 2 * 0.06)
            process = record(sidewinder, target.pid, chance.choice(WAYS))
            time.sleep(chance.random() ** 2 * 0.06)
        finally:
            target.kill()
    stderr = ending(process)
    if process.returncode not in (0, 1) or not stderr.startswith("sidewinder: "):
        raise FaultError(f"sidewinder ended with {process.returncode}: {stderr}")


def run(arguments: argparse.Namespace, interpreter: Interpreter) -> int:
    chance = random.Random(arguments.seed)
    faults = 0
    with interpreter.script(PROGRAM) as path, interpreter.running(PROGRAM) as target:
        target.expect("up")
        for number in range(arguments.rounds):
            try:
                if number % 2 == 0:
                    round_of_killed_sidewinder(arguments.sidewinder, target, chance, number)
                else:
                    round_of_dying_target(arguments.sidewinder, interpreter, path, chance)
            except FaultError as fault:
                faults += 1
                print(f"{interpreter}: round {number}: {fault}", file=sys.stderr)
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help="in all, shared by the interpreters")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a version, such as 3.13")
    parser.add_argument(
        "--sidewinder", type=Path, default=Path(os.environ.get("SIDEWINDER", ROOT / "build" / "sidewinder")).resolve()
    )
    arguments = parser.parse_args()
    chosen = [one for one in interpreters() if str(one).startswith(arguments.only)]
    if not chosen:
        raise SystemExit(f"there is no CPython {arguments.only} here")
    chosen = chosen[: max(1, arguments.rounds // 4)]
    total = arguments.rounds
    arguments.rounds = -(-total // len(chosen))
    faults = 0
    for interpreter in chosen:
        begin = time.monotonic()
        found = run(arguments, interpreter)
        faults += found
        seconds = time.monotonic() - begin
        print(f"{interpreter}: {arguments.rounds} rounds, {found} faults, {seconds:.1f} s", flush=True)
    print(
        f"seed {arguments.seed}: {arguments.rounds * len(chosen)} rounds, {faults} faults: {'MISSED' if faults else 'met'}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
