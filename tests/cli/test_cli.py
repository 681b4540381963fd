"""Runs the cases of tests/cli/*.case: a command, what it writes to stdout, and its exit code.

A file holds any number of cases:

    === a title, which names the test
    --- command
    printf 'a,b\\n1,2\\n' | sidewinder run --source - ...
    --- stdout
    {"a":1}
    --- exit
    0

The command runs in bash, in an empty folder, with `sidewinder` on PATH and $DATA naming tests/data. Further sections:
`--- stdout matching` (each line a regular expression) in place of stdout, `--- stderr matching` (each line is found
somewhere in stderr, in this order), and `--- needs` (paths below $SHARED, the shared data sets; skipped where absent).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SECTIONS = {"command", "stdout", "stdout matching", "stderr matching", "needs", "exit"}
TIMEOUT_S = 120


@dataclass
class Case:
    title: str
    sections: dict[str, str] = field(default_factory=dict)

    def check_form(self) -> None:
        unknown = set(self.sections) - SECTIONS
        if unknown:
            raise ValueError(f"{self.title}: unknown section {sorted(unknown)[0]!r}")
        missing = {"command", "exit"} - set(self.sections)
        if missing or not ({"stdout", "stdout matching"} & set(self.sections)):
            raise ValueError(f"{self.title}: command, stdout and exit are needed")


def parse(text: str) -> list[Case]:
    cases: list[Case] = []
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("=== "):
            cases.append(Case(line[4:].strip()))
            section = ""
        elif line.startswith("--- ") and cases:
            section = line[4:].strip()
            if section in cases[-1].sections:
                raise ValueError(f"line {number}: a second section {section!r}")
            cases[-1].sections[section] = ""
        elif section:
            cases[-1].sections[section] += line + "\n"
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"line {number}: outside of any section: {line}")
    for case in cases:
        case.check_form()
        # An empty line before the next case or section is for the reader.
        for name, body in case.sections.items():
            case.sections[name] = re.sub(r"\n\n+\Z", "\n", body) if body.strip() else ""
    return cases


def matching(patterns: str, text: str) -> str:
    """Why the lines do not match the patterns one by one; empty when they do."""
    wanted, lines = patterns.splitlines(), text.splitlines()
    for pattern, line in zip(wanted, lines, strict=False):
        if not re.fullmatch(pattern, line):
            return f"line {line!r} does not match {pattern!r}"
    return "" if len(wanted) == len(lines) else f"{len(lines)} lines in place of {len(wanted)}:\n{text}"


def containing(patterns: str, text: str) -> str:
    """Why the patterns are not found in the text in this order; empty when they are."""
    at = 0
    for pattern in patterns.splitlines():
        found = re.compile(pattern).search(text, at)
        if not found:
            return f"stderr has no {pattern!r} in:\n{text}"
        at = found.end()
    return ""


def run(command: str, folder: Path, environment: dict[str, str]) -> tuple[str, str, int]:
    """stdout, stderr and exit code; what the command started and left running is ended."""
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        pytest.fail(f"still running after {TIMEOUT_S} s\nstdout: {stdout}\nstderr: {stderr}")
    return stdout, stderr, process.returncode


def check(case: Case, folder: Path, environment: dict[str, str]) -> None:
    stdout, stderr, code = run(case.sections["command"], folder, environment)
    said = f"stderr: {stderr}" if stderr else "stderr is empty"
    if "stdout" in case.sections:
        assert stdout == case.sections["stdout"], said
    elif fault := matching(case.sections["stdout matching"], stdout):
        pytest.fail(f"{fault}\n{said}")
    if fault := containing(case.sections.get("stderr matching", ""), stderr):
        pytest.fail(fault)
    assert code == int(case.sections["exit"]), said


def collect() -> list[object]:
    return [
        pytest.param(case, id=f"{path.stem}: {case.title}")
        for path in sorted(HERE.glob("*.case"))
        for case in parse(path.read_text())
    ]


@pytest.mark.parametrize("case", collect())
def test_case(case: Case, sidewinder: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path = f"{sidewinder.parent}{os.pathsep}{os.environ['PATH']}"
    environment = dict(os.environ, PATH=path, DATA=str(HERE.parent / "data"))
    for name in ("NO_COLOR", "COLUMNS", "SIDEWINDER_CPU"):
        environment.pop(name, None)
    if "needs" in case.sections:
        shared: Path = request.getfixturevalue("shared_data")
        for needed in case.sections["needs"].split():
            if not (shared / needed).exists():
                pytest.skip(f"{needed} is not among the shared data sets")
        environment["SHARED"] = str(shared)
    check(case, tmp_path, environment)


RUNNER_FAULTS = [
    ("wrong stdout", "=== x\n--- command\necho b\n--- stdout\na\n--- exit\n0\n"),
    ("missing newline", "=== x\n--- command\nprintf a\n--- stdout\na\n--- exit\n0\n"),
    ("wrong exit", "=== x\n--- command\nexit 3\n--- stdout\n--- exit\n0\n"),
    ("line too many", "=== x\n--- command\necho a; echo b\n--- stdout matching\n.\n--- exit\n0\n"),
    ("line unlike", "=== x\n--- command\necho ab\n--- stdout matching\n.\n--- exit\n0\n"),
    ("stderr without", "=== x\n--- command\necho a >&2\n--- stdout\n--- stderr matching\nb\n--- exit\n0\n"),
]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in RUNNER_FAULTS])
def test_runner_finds_fault(text: str, tmp_path: Path) -> None:
    [case] = parse(text)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(case, tmp_path, dict(os.environ))


def test_runner_accepts(tmp_path: Path) -> None:
    command = "echo 12; echo no >&2; exit 1"
    wanted = "--- stdout matching\n\\d+\n--- stderr matching\nn.\n--- exit\n1\n"
    [case] = parse(f"# a comment\n=== x\n--- command\n{command}\n\n{wanted}\n")
    check(case, tmp_path, dict(os.environ))


@pytest.mark.parametrize("text", ["=== x\n--- command\ntrue\n--- exit\n0\n", "=== x\n--- comand\n", "word\n"])
def test_runner_refuses_malformed_file(text: str) -> None:
    with pytest.raises(ValueError, match=r"needed|unknown|outside"):
        parse(text)
