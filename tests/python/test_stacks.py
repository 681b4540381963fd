"""Stacks and lines of running CPythons against what is known about them: legal stacks, co_positions(), depth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.python.interpreters import PATIENCE_S, Interpreter, Target, every_minor
from tests.python.stack_programs import Program, generate

SEED = 20261121
WANTED_SAMPLES, WANTED_STACKS = 6000, 20
IMPOSSIBLE_MAX, IMPOSSIBLE_MAX_OLD = 3, 60
"""The bar is 1 in 100,000, so that more than 3 in some 10,000 come once in 100,000 runs; one read per frame gives 30 %.
Frames of 3.8 to 3.10 do not tell whether they call: some in 10,000 are impossible there."""

CODES = r"""
import dis, json, os, sys

def walk(code):
    yield code
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            yield from walk(constant)

def lines(code):
    if hasattr(code, "co_positions"):
        return [position[0] or 0 for position in code.co_positions()]
    count, out = len(code.co_code) // 2, []
    if hasattr(code, "co_lines"):
        for start, end, line in code.co_lines():
            out += [line or 0] * ((end - start) // 2)
        return out[:count]
    starts = dict(dis.findlinestarts(code))
    for unit in range(count):
        out.append(starts.get(2 * unit, out[-1] if out else code.co_firstlineno))
    return out

sources = [(os.__file__, name) for name in sys.argv[1:]]
kept = []
for base, name in sources:
    path = os.path.join(os.path.dirname(base), name)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            kept += walk(compile(file.read(), path, "exec"))
body = "def f():\n" + "\n" * 300 + "    return (1 +\n        g(\n))\n"
for name in ("plain.py", "d\u00e4tei.py", "\u6587\u4ef6.py", "\U0001f600.py", "raw\udcff.py", "x" * 5000 + ".py"):
    kept += walk(compile(body, name, "exec"))
kept += walk(compile("def \u00fcber():\n    pass\ndef \u51fd\u6570():\n    pass\ndef \U00010400():\n    pass\n", "n", "exec"))
for code in kept:
    name = getattr(code, "co_qualname", code.co_name)
    print(json.dumps([id(code), len(code.co_code), name, code.co_filename, lines(code)]))
print("ready", flush=True)
input()
"""

LIBRARY = ["argparse.py", "ast.py", "enum.py", "inspect.py", "typing.py", "tarfile.py", "asyncio/tasks.py",
           "asyncio/base_events.py", "email/_header_value_parser.py", "dataclasses.py", "pickletools.py"]  # fmt: skip

DEEP = """
import sys, time
sys.setrecursionlimit(100000)
def down(n):
    if n:
        return down(n - 1)
    print("ready", flush=True)
    time.sleep(600)
down({depth})
"""


TRACED = """
import sys, threading, time
def callback(frame, event, argument):
    print("ready", flush=True)
    time.sleep(600)
def callee():
    pass
def caller():
    sys.{hook}(callback)
    callee()
caller()
"""

STOPS = 40
"""Each at a random moment of a program that calls and returns all the time."""


@pytest.fixture(scope="session")
def sampler(sidewinder: Path) -> Path:
    """The driver of the stack reader, built beside the command."""
    path = sidewinder.parent / "bench" / "probe" / "bench_probe_sampler"
    assert path.is_file(), f"{path} is missing: run make"
    return path


def sample(sampler: Path, target: Target, *arguments: str) -> dict[str, Any]:
    """Runs the sampler; skips where this user may not read the process."""
    argv = [str(sampler), "stacks", str(target.pid), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
    if done.returncode and "ermi" in done.stderr:
        pytest.skip(f"another process may not be read here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def own_frames(stack: dict[str, Any]) -> list[tuple[str, int]]:
    """Outermost first, without those of threading.py."""
    return [(name, line) for name, file, line, _ in reversed(stack["frames"]) if file.endswith("target.py")]


def judge(program: Program, stacks: list[dict[str, Any]]) -> tuple[Counter[str], list[str]]:
    """How many stacks of each quality, and the impossible ones, each as often as it was seen."""
    counts: Counter[str] = Counter()
    wrong = []
    for stack in stacks:
        counts[stack["quality"]] += stack["count"]
        frames = own_frames(stack)
        why = program.why_impossible(frames) if frames else None
        if stack["quality"] in ("exact", "partial") and why:
            wrong += [f"{stack['quality']}: {why}: {frames}"] * stack["count"]
    return counts, wrong


@every_minor
def test_no_impossible_stacks(interpreter: Interpreter, sampler: Path) -> None:
    program = generate(SEED, functions=80, threads=1)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    seen: set[str] = set()
    with interpreter.running(program.text) as target:
        target.expect("ready")
        deadline = time.monotonic() + PATIENCE_S
        while sum(counts.values()) < WANTED_SAMPLES or len(seen) < WANTED_STACKS:
            result = sample(sampler, target, "1500", "20000")
            assert result["version"] == interpreter.version_text
            more, bad = judge(program, result["stacks"])
            counts += more
            wrong += bad
            seen |= {json.dumps(own_frames(stack)) for stack in result["stacks"] if stack["quality"] == "exact"}
            assert time.monotonic() < deadline, f"{counts}, {len(seen)} different stacks"
    most = IMPOSSIBLE_MAX if interpreter.minor >= 11 else IMPOSSIBLE_MAX_OLD
    assert len(wrong) <= most, f"seed {SEED}, {counts}:\n" + "\n".join(wrong[:5])
    assert counts["exact"] > sum(counts.values()) / 2, counts


def stop(target: Target) -> None:
    os.kill(target.pid, signal.SIGSTOP)
    while Path(f"/proc/{target.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)


@every_minor
def test_a_stopped_process_has_no_torn_stack(interpreter: Interpreter, sampler: Path) -> None:
    """Whatever frames stand on each other there was called so: none may be taken for two moments' mixture."""
    program = generate(SEED, functions=80, threads=1)
    counts: Counter[str] = Counter()
    with interpreter.running(program.text) as target:
        target.expect("ready")
        for _ in range(STOPS):
            stop(target)
            more, wrong = judge(program, sample(sampler, target, "2", "1000")["stacks"])
            os.kill(target.pid, signal.SIGCONT)
            counts += more
            assert not wrong
    assert counts["partial"] == 0, counts
    assert counts["exact"] > 0  # the others were stopped while a frame was made


@every_minor
@pytest.mark.parametrize("hook", ["setprofile", "settrace"])
def test_functions_that_trace(interpreter: Interpreter, sampler: Path, hook: str) -> None:
    with interpreter.running(TRACED.format(hook=hook)) as target:
        target.expect("ready")
        deadline = time.monotonic() + PATIENCE_S
        while True:  # "ready" comes just before it sleeps
            stacks = sample(sampler, target, "3", "1000")["stacks"]
            names = [name for name, _ in own_frames(stacks[-1])]
            if names[1:] == ["caller", "callee", "callback"] and stacks[-1]["quality"] == "exact":
                break
            assert time.monotonic() < deadline, stacks


@every_minor
def test_lines_of_every_instruction(interpreter: Interpreter, sampler: Path) -> None:
    with interpreter.running(CODES, *LIBRARY) as target:
        told = []
        while (line := target.line()) != "ready":
            told.append(json.loads(line))
        asked = "".join(f"{address} {size}\n" for address, size, *_ in told)
        argv = [str(sampler), "codes", str(target.pid)]
        done = subprocess.run(argv, input=asked, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
        if done.returncode and "ermi" in done.stderr:
            pytest.skip(f"another process may not be read here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(told) > 1000
    for (_, _, name, file, lines), answer in zip(told, answers, strict=True):
        assert answer["name"] == name
        assert answer["file"] == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in file)
        assert answer["lines"] == lines, f"{name} in {file}"


@every_minor
def test_deep_stack(interpreter: Interpreter, sampler: Path) -> None:
    depth = 20000 if interpreter.minor >= 11 else 900  # up to 3.10 each call takes C stack
    with interpreter.running(DEEP.format(depth=depth)) as target:
        target.expect("ready")
        deadline = time.monotonic() + PATIENCE_S
        while True:  # "ready" comes just before it sleeps
            stacks = sample(sampler, target, "3", "100")["stacks"]
            if [own_frames(stack)[-1] for stack in stacks] == [("down", 8)]:
                break
            assert time.monotonic() < deadline, [stack["frames"][:2] for stack in stacks]
    (stack,) = stacks
    names = [name for name, _, _, _ in stack["frames"]]
    assert stack["quality"] == "exact"
    assert names[-1] == "<module>"
    assert set(names[:-1]) == {"down"}
    assert len(names) + stack["omitted"] == depth + 2
    assert min(depth + 2, 8190) <= len(names) <= 8192  # an entry from C takes a place, and is not shown
