"""What sinks write, and what happens when they are closed, full, slow or unwritable; signals."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import math
import os
import resource
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests.python.engine_process import TIMEOUT_S, Engine, Row, job_rows, run_job, wait_until

EVENTS = ["--columns", "t,k,v", "--time", "t:ms", "--key", "k"]


def event_rows(count: int, step_ms: int = 10) -> bytes:
    return "".join(f"{number * step_ms},k{number % 7},{number % 101 / 4}\n" for number in range(count)).encode()


def from_csv(text: str, like: Row) -> Row | dict[str, Any]:
    """A csv row with the types of its jsonl twin."""
    [values] = csv.reader(io.StringIO(text))
    return dict(zip(like, values, strict=False))


def test_csv_and_jsonl_say_the_same(sidewinder: Path, tmp_path: Path) -> None:
    keys = ["plain", 'quo"ted', "com,ma", "line\nend", "ünï", ""]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number in range(3000):
        writer.writerow(
            [
                number * 10,
                keys[number % len(keys)],
                "" if number % 5 == 0 else math.sin(number) * 10 ** (number % 30 - 15),
                f"w{number % 3}",
            ]
        )
    done = run_job(sidewinder, "--source", "-", "--columns", "t,k,v,w", "--time", "t:ms", "--key", "k,w", "--sink", f"jsonl:{tmp_path}/j",
                   "--sink", f"csv:{tmp_path}/c", "--sink", "jsonl:-", "--aggregate",
                   "n=count(),s=sum(v),sd=stddev(v),top=topk(w,2),p=quantile(v,0.9),last=last(v)", stdin=text.getvalue().encode())  # fmt: skip
    assert done.code == 0, done.stderr
    assert (tmp_path / "j").read_bytes() == done.stdout
    rows = done.rows
    with (tmp_path / "c").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(rows) == len(table) > 100
    assert list(table[0]) == [
        "window_start_ns",
        "window_end_ns",
        "k",
        "w",
        "n",
        "s",
        "sd",
        "top",
        "p",
        "last",
        "anomaly",
    ]
    for row, cells in zip(rows, table, strict=True):
        assert (row["k"], row["w"]) == (cells["k"], cells["w"])
        assert row["top"] == json.loads(cells["top"])
        assert ";".join(row.get("anomaly", [])) == cells["anomaly"]
        for name in ("window_start_ns", "window_end_ns", "n", "s", "sd", "p", "last"):
            assert (None if cells[name] == "" else json.loads(cells[name])) == row[name], name
    assert {row["k"] for row in rows} == set(keys)


def spike(count: int = 400) -> bytes:
    """A quiet series with one outlier near its end."""
    return "".join(
        f"{second * 1000},{50 if second == count - 20 else 10 + second % 3 / 10}\n" for second in range(count)
    ).encode()


def test_anomalies_are_marked(sidewinder: Path) -> None:
    rows = job_rows(
        sidewinder, "--source", "-", "--columns", "t,v", "--time", "t:ms", "--aggregate", "v=mean(v)", stdin=spike()
    )
    assert rows[380]["anomaly"] == ["v"]
    assert sum("anomaly" in row for row in rows) < 5


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_names_that_need_quotes(kind: str, sidewinder: Path) -> None:
    """Also among the anomalies, where every name is written a second time."""
    name = '"odd", ' + '"' * 60 + "\x01" * 60
    aggregates = ",".join(f"{name.replace(',', ';')}{number}=mean(v)" for number in range(20))
    done = run_job(sidewinder, "--source", "-", "--columns", "t,v", "--time", "t:ms", "--aggregate", aggregates, "--sink", f"{kind}:-",
                   stdin=spike())  # fmt: skip
    assert done.code == 0, done.stderr
    names = [f"{name.replace(',', ';')}{number}" for number in range(20)]
    if kind == "jsonl":
        assert list(done.rows[380])[2:22] == names
        assert done.rows[380]["anomaly"] == names
    else:
        table = list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))
        assert table[0] == ["window_start_ns", "window_end_ns", *names, "anomaly"]
        assert table[381][-1] == ";".join(names)


def test_reader_of_stdout_that_has_enough(sidewinder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(event_rows(300_000))
    words = ["--source", str(path), *EVENTS, "--window", "10ms", "--quiet", "--sink", "jsonl:-"]
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -1; echo "${PIPESTATUS[0]}"', "x", sidewinder, "run", *words],
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    first, code = done.stdout.splitlines()
    assert json.loads(first)["window_start_ns"] == 0
    assert (int(code), done.stderr) == (0, b"")


def test_full_device(sidewinder: Path) -> None:
    done = run_job(sidewinder, "--source", "-", *EVENTS, "--sink", "jsonl:/dev/full", stdin=event_rows(100))
    assert done.code == 1
    assert "/dev/full" in done.stderr
    assert "No space left on device" in done.stderr
    assert "bytes of rows are lost" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_full_disk_is_waited_out(small_disk: Path, sidewinder: Path, tmp_path: Path) -> None:
    """Rows wait, the engine stands still behind them and says so; when there is room it goes on, and nothing is missing."""
    path = tmp_path / "rows.csv"
    path.write_bytes(event_rows(100_000))
    words = ["--source", str(path), *EVENTS, "--window", "10ms"]
    wanted = run_job(sidewinder, *words, "--sink", "jsonl:-").stdout
    assert len(wanted) > 4 << 20
    with Engine(sidewinder, *words, "--sink", f"jsonl:{small_disk}/out", "--listen", "127.0.0.1:0") as engine:
        engine.said("No space left on device; waiting for room, nothing is lost meanwhile")
        assert engine.get("/health") == {"status": "ok"}
        subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
        wait_until("all rows", lambda: (small_disk / "out").stat().st_size == len(wanted))
        assert engine.stop() == 0
    assert (small_disk / "out").read_bytes() == wanted


def test_full_disk_at_the_end(small_disk: Path, sidewinder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(event_rows(100_000))
    words = [
        "--source",
        str(path),
        *EVENTS,
        "--window",
        "10ms",
        "--sink",
        f"jsonl:{small_disk}/out",
        "--listen",
        "127.0.0.1:0",
    ]
    with Engine(sidewinder, *words) as engine:
        engine.said("No space left on device")
        assert engine.stop() == 1
        assert engine.said(r"cannot write \S*/out \((\d+) bytes of rows are lost\)")


def test_file_size_limit(sidewinder: Path, tmp_path: Path) -> None:
    """EFBIG is no reason to wait."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [sidewinder, "run", "--source", "-", *EVENTS, "--window", "10ms", "--sink", f"jsonl:{tmp_path}/out"],
        input=event_rows(1000), capture_output=True, preexec_fn=limit, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert b"File too large" in done.stderr


@pytest.mark.parametrize("option", ["--sink=csv:/nowhere/out", "--late=/nowhere/out"])
def test_unwritable_path(option: str, sidewinder: Path) -> None:
    done = run_job(sidewinder, "--source", "-", *EVENTS, "--sink", "jsonl:-", option, stdin=event_rows(10))
    assert (done.code, done.stdout) == (1, b"")
    assert "/nowhere/out" in done.stderr
    assert "No such file or directory" in done.stderr


@pytest.mark.parametrize(
    "words", [["--sink", "csv:data.csv"], ["--sink", "csv:./link.csv"], ["--late", "data.csv", "--sink", "csv:-"]]
)
def test_output_never_destroys_a_source(words: list[str], sidewinder: Path, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(event_rows(10))
    (tmp_path / "link.csv").symlink_to(path)
    done = run_job(sidewinder, "--source", "data.csv", *EVENTS, *words, cwd=tmp_path)
    assert done.code == 2
    assert "is a source of this job" in done.stderr
    assert path.read_bytes() == event_rows(10)


def test_two_outputs_in_one_file(sidewinder: Path, tmp_path: Path) -> None:
    for words in (
        ["--sink", "csv:x", "--sink", "jsonl:x"],
        ["--sink", "jsonl:-", "--sink", "csv:-"],
        ["--sink", "csv:x", "--late", "x"],
    ):
        done = run_job(sidewinder, "--source", "-", *EVENTS, *words, cwd=tmp_path)
        assert done.code == 2
        assert "two outputs go to" in done.stderr


def test_missing_source_leaves_old_output_alone(sidewinder: Path, tmp_path: Path) -> None:
    for name in ("out", "late"):
        (tmp_path / name).write_text("of yesterday")
    done = run_job(sidewinder, "--source", "missing.csv", *EVENTS, "--sink", "csv:out", "--late", "late", cwd=tmp_path)
    assert done.code == 1
    assert [(tmp_path / name).read_text() for name in ("out", "late")] == ["of yesterday"] * 2


def test_slow_reader_loses_nothing_and_memory_is_bounded(sidewinder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(event_rows(400_000))
    words = ["--source", str(path), *EVENTS, "--window", "10ms", "--sink", "jsonl:-"]
    with Engine(sidewinder, *words, stdout=subprocess.PIPE) as engine:
        time.sleep(1)
        assert engine.process.poll() is None
        assert engine.rss_bytes() < 150 << 20
        assert engine.process.stdout
        lines = engine.process.stdout.read().splitlines()
        assert engine.wait() == 0
    assert len(lines) == 400_000
    assert [json.loads(lines[at])["window_start_ns"] for at in (0, 200_000, -1)] == [
        0,
        2_000_000 * 10**6,
        3_999_990 * 10**6,
    ]


def cpu_ticks(engine: Engine) -> int:
    return sum(map(int, Path(f"/proc/{engine.process.pid}/stat").read_text().split()[13:15]))


def is_at_rest(engine: Engine) -> bool:
    """Whether it uses less than a third of a core for half a second."""
    before = cpu_ticks(engine)
    time.sleep(0.5)
    return cpu_ticks(engine) - before < 15


def bytes_in(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_stdout_that_does_not_block(sidewinder: Path, tmp_path: Path) -> None:
    """Somebody else made the pipe non-blocking: it is waited for, without burning a core."""
    path = tmp_path / "rows.csv"
    path.write_bytes(event_rows(100_000))
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    with Engine(
        sidewinder, "--source", path, *EVENTS, "--window", "10ms", "--sink", "jsonl:-", stdout=writer
    ) as engine:
        os.close(writer)
        wait_until("a full pipe", lambda: bytes_in(reader) > 32768)
        wait_until("it to wait at rest", lambda: is_at_rest(engine))
        assert engine.process.poll() is None
        with os.fdopen(reader, "rb") as file:
            assert len(file.read().splitlines()) == 100_000
        assert engine.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_closes_windows_and_flushes(number: signal.Signals, sidewinder: Path) -> None:
    words = ["--source", "-", *EVENTS, "--window", "1h", "--aggregate", "n=count()", "--sink", "jsonl:-"]
    with Engine(sidewinder, *words, "--listen", "127.0.0.1:0", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as engine:
        assert engine.process.stdin
        assert engine.process.stdout
        engine.process.stdin.write(event_rows(1000))
        engine.process.stdin.flush()
        wait_until("the rows", lambda: engine.rows_total() == 1000)
        engine.signal(number)
        rows = [json.loads(line) for line in engine.process.stdout]
        assert engine.wait() == 0
        assert "1000 rows in" in engine.stderr
    assert [row["n"] for row in rows] == [143] * 6 + [142]


def test_hangup_goes_on(sidewinder: Path) -> None:
    with Engine(sidewinder, "--source", "tcp://127.0.0.1:0", "--listen", "127.0.0.1:0") as engine:
        assert engine.port
        engine.signal(signal.SIGHUP)
        engine.said("SIGHUP: there is no configuration to reload, going on")
        assert engine.get("/health") == {"status": "ok"}
        assert engine.stop() == 0


def blocked(sidewinder: Path, path: Path, count: int) -> Engine:
    """A job whose reader does not read; all input is read already when it is small, and far more than a pipe holds when not."""
    path.write_bytes(event_rows(count))
    words = ["--source", str(path), *EVENTS, "--window", "10ms", "--sink", "jsonl:-", "--listen", "127.0.0.1:0"]
    engine = Engine(sidewinder, *words, stdout=subprocess.PIPE)
    wait_until("rows", lambda: engine.rows_total() >= min(count, 20_000))
    return engine


def wait_for_ending(engine: Engine) -> None:
    """Until the first signal was heard: two that come together are one."""
    wait_until("503", lambda: engine.request("/health").status == 503)


@pytest.mark.parametrize("count", [5000, 400_000])
def test_first_signal_flushes_even_when_the_reader_is_slow(count: int, sidewinder: Path, tmp_path: Path) -> None:
    with blocked(sidewinder, tmp_path / "rows.csv", count) as engine:
        engine.signal(signal.SIGTERM)
        wait_for_ending(engine)
        assert engine.process.poll() is None
        assert engine.process.stdout
        output = engine.process.stdout.read()
        assert engine.wait() == 0
    rows = [json.loads(line) for line in output.splitlines()]
    assert len(rows) == 5000 if count == 5000 else 5000 < len(rows) < count
    assert f"{len(rows)} rows out" in engine.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_ends_at_once(number: signal.Signals, sidewinder: Path, tmp_path: Path) -> None:
    with blocked(sidewinder, tmp_path / "rows.csv", 400_000) as engine:
        engine.signal(number)
        wait_for_ending(engine)
        assert engine.process.poll() is None
        engine.signal(number)
        assert engine.wait() == -number
        assert "not written yet are lost" in engine.stderr


def test_health_says_that_the_job_is_ending(sidewinder: Path, tmp_path: Path) -> None:
    with blocked(sidewinder, tmp_path / "rows.csv", 400_000) as engine:
        assert engine.get("/health") == {"status": "ok"}
        engine.signal(signal.SIGTERM)
        wait_for_ending(engine)
        assert engine.process.stdout
        engine.process.stdout.read()
        assert engine.wait() == 0


def test_many_windows_in_flight_do_not_delay_the_end(sidewinder: Path, tmp_path: Path) -> None:
    """A dashboard that takes no more windows must not hold the merger up for each of them."""
    path = tmp_path / "rows.csv"
    path.write_bytes(event_rows(2_000_000))
    with Engine(sidewinder, "--source", path, *EVENTS, "--window", "10ms", "--listen", "127.0.0.1:0") as engine:
        wait_until("some rows", lambda: engine.rows_total() > 10_000)
        engine.signal(signal.SIGTERM)
        assert engine.wait() == 0


def test_finite_job_with_a_dashboard_goes_on(sidewinder: Path) -> None:
    words = ["--source", "-", *EVENTS, "--aggregate", "n=count()", "--listen", "127.0.0.1:0"]
    with Engine(sidewinder, *words, stdin=subprocess.PIPE) as engine:
        assert engine.process.stdin
        engine.process.stdin.write(event_rows(100))
        engine.process.stdin.close()
        wait_until("the last window", lambda: sum(row["n"] for row in engine.query()) == 100)
        assert engine.process.poll() is None
        assert engine.stop() == 0


def test_failed_source_ends_the_job_with_its_other_rows(sidewinder: Path, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("t,v\n1,1\n2,2\n")
    (tmp_path / "bad.csv").write_text("t,w\n1,1\n")
    done = run_job(sidewinder, "--source", "good.csv", "--source", "bad.csv", "--time", "t:ms", "--aggregate", "v=sum(v)",
                   "--sink", "jsonl:-", cwd=tmp_path)  # fmt: skip
    assert done.code == 2
    assert 'source bad.csv: csv has no column "v"' in done.stderr


def test_quiet_and_verbose(sidewinder: Path) -> None:
    words = ["--source", "-", *EVENTS, "--sink", "jsonl:-"]
    quiet = run_job(sidewinder, *words, "--quiet", stdin=event_rows(5) + b"bad\n")
    plain = run_job(sidewinder, *words, stdin=event_rows(5) + b"bad\n")
    assert (quiet.code, quiet.stderr) == (0, "")
    assert quiet.stdout == plain.stdout
    assert "bad" in plain.stderr
    assert "1 rejected" in plain.stderr
