"""`sidewinder run` over Python processes: rows of python://, and what /api/processes tells of stacks, GIL and threads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.python.engine_process import Engine, run_job
from tests.python.interpreters import PATIENCE_S, Interpreter, Target, every_minor, interpreters

LISTEN = ("--listen", "127.0.0.1:0")

BUSY = """
import gc, sys, threading, time
def leaf(until):
    while time.perf_counter() < until:
        pass
def burn():
    while True:
        leaf(time.perf_counter() + 0.01)
        gc.collect(0)
for i in range(2):
    threading.Thread(target=burn, daemon=True).start()
print("up", flush=True)
sys.stdin.read()
"""

IDLE = """
import sys
print("up", flush=True)
sys.stdin.read()
"""


def may_read(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            return True
    except OSError:
        return False


@contextmanager
def running(interpreter: Interpreter, text: str) -> Iterator[Target]:
    with interpreter.running(text) as target:
        target.expect("up")
        if not may_read(target.pid):
            pytest.skip("other processes may not be read here (yama, container or capabilities)")
        yield target


def until(check: Callable[[], Any]) -> Any:
    """What must come true does so, however slow the machine is."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come true")


def rows_of(sidewinder: Path, pid: int, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Rows of `run --source python://?pid=`, until one is as wanted."""
    command: list[str | Path] = [sidewinder, "run", "--source", f"python://?pid={pid}", "--sink", "jsonl:-", "--quiet"]
    rows: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        for line in process.stdout:
            rows.append(json.loads(line))
            if wanted(rows[-1]):
                break
            assert time.monotonic() < deadline, f"no row was as wanted: {rows[-3:]}"
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    return rows


@every_minor
def test_rows_tell_of_a_busy_process(interpreter: Interpreter, sidewinder: Path) -> None:
    def is_full(row: dict[str, Any]) -> bool:
        has_gil = interpreter.is_free_threaded or bool(row["gil"])
        has_collections = interpreter.minor >= 15 or bool(row["collections"])
        function = row["function"][0]["value"] if row["function"] else ""
        return bool(row["cpu"]) and function in ("leaf (target.py)", "burn (target.py)") and has_gil and has_collections

    with running(interpreter, BUSY) as target:
        rows = rows_of(sidewinder, target.pid, is_full)
    row = rows[-1]
    assert row["process"] == f"target.py [{target.pid}]"
    assert row["threads"] == 3
    assert row["rss"] > 1_000_000
    if interpreter.is_free_threaded:
        assert (row["gil"], row["handoffs"], row["waiters"]) == (None, None, None)
    else:
        assert 0 < row["gil"] <= 100.1
    assert (row["collections"] is None) == (interpreter.minor >= 15)


def test_an_idle_process_holds_nothing(sidewinder: Path) -> None:
    def is_at_rest(row: dict[str, Any]) -> bool:
        return row["gil"] == 0 and row["cpu"] is not None and row["function"] == []

    with running(interpreters()[0], IDLE) as target:
        row = rows_of(sidewinder, target.pid, is_at_rest)[-1]
    assert (row["threads"], row["waiters"]) == (1, 0)


def test_the_job_ends_with_its_process(sidewinder: Path) -> None:
    with running(interpreters()[0], IDLE) as target:
        words = ["run", "--source", f"python://?pid={target.pid}", "--sink", "jsonl:-", "--quiet"]
        with subprocess.Popen([sidewinder, *words], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith('{"window_start_ns"')
            target.process.kill()
            process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0


@pytest.mark.parametrize(
    ("uri", "code", "said"),
    [
        ("python://?pid=0", 2, "pid is the number of a process"),
        ("python://?pid=x", 2, "pid is the number of a process"),
        ("python://?hz=0", 2, "hz is a number from 1 to 100"),
        ("python://?hz=101", 2, "hz is a number from 1 to 100"),
        ("python://?rate=1", 2, "python:// takes ?pid=PID and hz=1 to hz=100 only"),
        ("python://here", 2, "write python://, or python://?pid=PID"),
        ("python://?pid=2147483647", 1, "2147483647"),
    ],
)
def test_refuses_what_it_cannot_do(sidewinder: Path, uri: str, code: int, said: str) -> None:
    done = subprocess.run(
        [sidewinder, "run", "--source", uri, "--sink", "jsonl:-"], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_a_process_that_is_no_python_is_refused(sidewinder: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        done = run_job(sidewinder, "--source", f"python://?pid={other.pid}", "--sink", "jsonl:-")
        other.kill()
    assert done.code == 1
    assert f"process {other.pid} is no Python process" in done.stderr


def get(engine: Engine, path: str) -> Any:
    answer = engine.request(path)
    assert (answer.status, answer.headers.get("Cache-Control")) == (200, "no-store"), answer
    return answer.json()


def refusal(engine: Engine, path: str) -> tuple[int, str]:
    answer = engine.request(path)
    return answer.status, answer.body.decode()


def process_of(engine: Engine, pid: int) -> dict[str, Any] | None:
    found = [process for process in get(engine, "/api/processes")["processes"] if process["pid"] == pid]
    return found[0] if found else None


@pytest.fixture(scope="module")
def engine(sidewinder: Path) -> Iterator[Engine]:
    """The default job: this machine and its Python processes."""
    with Engine(sidewinder, *LISTEN) as started:
        yield started


def test_the_default_job_has_the_python_stream(engine: Engine) -> None:
    layout = get(engine, "/api/streams")
    assert layout["job"]["sources"] == ["host://", "python://"]
    assert [stream["name"] for stream in layout["streams"]][-1] == "python"


@every_minor
def test_finds_processes_as_they_come_and_go(interpreter: Interpreter, engine: Engine) -> None:
    with running(interpreter, IDLE) as target:
        found = until(lambda: process_of(engine, target.pid))
        assert found["version"] == interpreter.version_text
        assert found["is_free_threaded"] == interpreter.is_free_threaded
        assert found["has_gil"] != interpreter.is_free_threaded
        assert found["refusal"] == ""
        assert found["command"].endswith("/target.py")
        target.process.kill()
        until(lambda: process_of(engine, target.pid) is None)


def name_path(profile: dict[str, Any], node: int) -> list[str]:
    names = []
    while node:
        parent, frame = profile["nodes"][node - 1]
        names.append(profile["frames"][frame]["name"])
        node = parent
    return names[::-1]


@every_minor
def test_the_profile_is_a_tree_of_what_ran(interpreter: Interpreter, engine: Engine) -> None:
    with running(interpreter, BUSY) as target:
        until(lambda: process_of(engine, target.pid))
        path = f"/api/processes/{target.pid}/profile?seconds=60"
        profile = until(lambda: answer if (answer := get(engine, path))["sample_count"] >= 20 else None)
    assert sum(count for _, _, count, _ in profile["samples"]) == profile["sample_count"]
    assert abs(sum(us for *_, us in profile["samples"]) / 1000 - profile["cpu_ms"]) < 1
    paths = [name_path(profile, node) for _, node, *_ in profile["samples"]]
    assert any("burn" in names for names in paths)
    assert all("leaf" not in names or names[names.index("leaf") - 1] == "burn" for names in paths)
    assert all(parent < index for index, (parent, _) in enumerate(profile["nodes"], 1))
    tracks = {profile["tracks"][track]["tid"] for track, *_ in profile["samples"]}
    assert tracks == {track["tid"] for track in profile["tracks"]}


def test_the_lanes_of_the_gil(engine: Engine) -> None:
    with running(interpreters()[0], BUSY) as target:
        until(lambda: process_of(engine, target.pid))
        path = f"/api/processes/{target.pid}/gil?seconds=20"

        def both_held() -> Any:
            answer = get(engine, path)
            held = [sum(cell or 0 for cell in lane["held"]) for lane in answer["lanes"] if not lane["is_main"]]
            has_waited = any(cell for lane in answer["lanes"] for cell in lane["waited"])
            return answer if len(held) == 2 and min(held) > 100 and has_waited else None

        gil = until(both_held)
    assert (gil["has_gil"], gil["cell_ms"], gil["cells"], gil["omitted"]) == (True, 100, 200, 0)
    assert len(gil["lanes"]) == 3
    for lane in gil["lanes"]:
        assert len(lane["held"]) == len(lane["waited"]) == 200
        assert all(cell is None or 0 <= cell <= 100 for cell in lane["held"] + lane["waited"])


def test_the_threads_and_what_they_do(engine: Engine) -> None:
    with running(interpreters()[0], BUSY) as target:
        until(lambda: process_of(engine, target.pid))
        answer = get(engine, f"/api/processes/{target.pid}/threads")
        tids = {int(path.name) for path in Path(f"/proc/{target.pid}/task").iterdir()}
    assert {thread["tid"] for thread in answer["threads"]} == tids
    main = next(thread for thread in answer["threads"] if thread["is_main"])
    assert main["tid"] == target.pid
    assert main["stack"][-1]["name"] == "<module>"
    assert all(thread["words"] and thread["state"] for thread in answer["threads"])


def test_says_what_is_wrong_with_a_request(engine: Engine, sidewinder: Path) -> None:
    with running(interpreters()[0], IDLE) as target:
        until(lambda: process_of(engine, target.pid))
        path = f"/api/processes/{target.pid}"
        assert refusal(engine, f"{path}/profile?seconds=0") == (400, "seconds is a number from 1 to 60\n")
        assert refusal(engine, f"{path}/gil?seconds=61")[0] == 400
        assert refusal(engine, f"{path}/gil?x=1") == (400, "unknown parameter 'x'; there is seconds\n")
        assert refusal(engine, f"{path}/nothing")[0] == 404
        assert refusal(engine, path)[0] == 404
    assert refusal(engine, "/api/processes/2147483647/gil")[0] == 404
    assert refusal(engine, "/api/processes/x/gil")[0] == 404
    assert refusal(engine, "/api/processesx")[0] == 404
    with Engine(sidewinder, *LISTEN, "--source", "host://") as other:
        assert refusal(other, "/api/processes") == (404, "this job has no source python://\n")


def test_needs_the_token_like_all_else(sidewinder: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abcdefgh12345678\n")
    with Engine(sidewinder, *LISTEN, "--token-file", str(token)) as guarded:
        assert refusal(guarded, "/api/processes")[0] == 401
        assert "processes" in get(guarded, "/api/processes?token=abcdefgh12345678")


def test_says_what_to_do_where_a_process_may_not_be_read(sidewinder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("it takes root to become another user")
    if subprocess.run(["setpriv", "--version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("setpriv is not installed")
    with tempfile.TemporaryDirectory() as folder, interpreters()[0].running(IDLE) as target:
        Path(folder).chmod(0o755)
        copy = Path(folder) / "sidewinder"
        copy.write_bytes(sidewinder.read_bytes())
        copy.chmod(0o755)
        wrapper = Path(folder) / "wrapper"
        wrapper.write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {copy} "$@"\n')
        wrapper.chmod(0o755)
        target.expect("up")
        with Engine(wrapper, *LISTEN) as stranger:
            found = until(lambda: process_of(stranger, target.pid))
            assert re.search(rf"{target.pid}.*user", found["refusal"])
            assert (found["gil"], found["function"]) == (None, "")
            assert refusal(stranger, f"/api/processes/{target.pid}/threads") == (403, found["refusal"] + "\n")
            assert get(stranger, "/api/processes")["unreadable"] >= 1
