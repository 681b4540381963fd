"""Where rows come from: files plain and compressed, stdin, TCP, UDP, HTTP bodies, this machine; formats; idle and paced sources."""

from __future__ import annotations

import bz2
import functools
import gzip
import itertools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.python.engine_process import TIMEOUT_S, Engine, job_rows, run_job, wait_until, without

CSV = ["--columns", "t,k,v", "--time", "t:ms", "--key", "k", "--aggregate", "n=count(),v=sum(v)"]


def csv_rows(count: int, first: int = 0) -> bytes:
    return "".join(f"{number * 10},k{number % 7},{number % 101}\n" for number in range(first, first + count)).encode()


def zstd(data: bytes) -> bytes:
    if not shutil.which("zstd"):
        pytest.skip("the zstd command is not installed")
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def plain_rows(sidewinder: Path) -> list[dict[str, object]]:
    return job_rows(sidewinder, "--source", "-", *CSV, stdin=csv_rows(20_000))


@pytest.mark.parametrize("kind", ["plain", "gz", "gz in members", "zst", "zst in frames", "name without ending"])
def test_files(kind: str, sidewinder: Path, tmp_path: Path, plain_rows: list[dict[str, object]]) -> None:
    data = csv_rows(20_000)
    first, second = data[:77_777], data[77_777:]
    contents = {
        "plain": data,
        "gz": gzip.compress(data),
        "gz in members": gzip.compress(first) + gzip.compress(b"") + gzip.compress(second),
        "name without ending": gzip.compress(data),
    }
    content = contents.get(kind) or (zstd(data) if kind == "zst" else zstd(first) + zstd(second))
    path = tmp_path / {"plain": "rows.csv", "name without ending": "rows"}.get(kind, f"rows.csv.{kind[:3].strip()}")
    path.write_bytes(content)
    assert job_rows(sidewinder, "--source", path, *CSV) == plain_rows


@pytest.mark.parametrize("kind", ["gz", "zst"])
@pytest.mark.parametrize("through", ["file", "pipe"])
def test_cut_off_compressed_input(kind: str, through: str, sidewinder: Path, tmp_path: Path) -> None:
    """Everything up to the cut is read and written; then it fails and says which source and why."""
    data = os.urandom(3000).hex().encode()
    text = b"".join(b"%d,%s,1\n" % (number * 10, data[number * 5 : number * 5 + 5]) for number in range(1000))
    content = gzip.compress(text) if kind == "gz" else zstd(text)
    path = tmp_path / f"rows.csv.{kind}"
    path.write_bytes(content[: len(content) * 9 // 10])
    words = ["--columns", "t,k,v", "--time", "t:ms", "--sink", "jsonl:-"]
    done = run_job(
        sidewinder,
        "--source",
        path if through == "file" else "-",
        *words,
        stdin=b"" if through == "file" else path.read_bytes(),
    )
    assert done.code == 1
    assert "it ends within compressed data" in done.stderr
    assert (path.name if through == "file" else "source -") in done.stderr
    if kind == "gz" or done.rows:  # zstd gives whole blocks only
        assert 500 < sum(row["rows"] for row in done.rows) < 1000


def test_damaged_gzip(sidewinder: Path, tmp_path: Path) -> None:
    content = bytearray(gzip.compress(csv_rows(20_000)))
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "rows.gz"
    path.write_bytes(content)
    done = run_job(sidewinder, "--source", path, *CSV, "--sink", "jsonl:-")
    assert done.code == 1
    assert "damaged gzip data" in done.stderr
    assert done.rows


def test_other_compression_is_not_mistaken(sidewinder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.bz2"
    path.write_bytes(bz2.compress(csv_rows(2000)))
    done = run_job(sidewinder, "--source", path, *CSV, "--sink", "jsonl:-")
    assert done.rows == []
    assert " 0 rejected" not in done.stderr


def test_file_without_last_newline(sidewinder: Path) -> None:
    [row] = job_rows(sidewinder, "--source", "-", *CSV, stdin=b"0,a,1\n1,a,2\n2,a,3")
    assert row["v"] == 6


def test_empty_input(sidewinder: Path) -> None:
    assert job_rows(sidewinder, "--source", "-", *CSV, stdin=b"") == []


def test_source_of_each_format_by_its_ending(sidewinder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,v\n1,1\n")
    (tmp_path / "b.jsonl").write_text('{"t":2,"v":2}\n')
    (tmp_path / "c.ndjson.gz").write_bytes(gzip.compress(b'{"v":4,"t":3}\n'))
    words = [word for name in ("a.csv", "b.jsonl", "c.ndjson.gz") for word in ("--source", name)]
    [row] = job_rows(sidewinder, *words, "--time", "t:ms", "--aggregate", "v=sum(v)", cwd=tmp_path)
    assert row["v"] == 7


def test_csv_header_columns_delimiter_and_quotes(sidewinder: Path) -> None:
    text = '\ufeffk;t;v\r\n"a;""b""\r\nc";1;2\r\n\r\n"a;""b""\r\nc";2;3\r\n'
    [row] = job_rows(sidewinder, "--source", "-", "--delimiter", ";", "--time", "t:ms", "--key", "k",
                     "--aggregate", "v=sum(v)", stdin=text.encode())  # fmt: skip
    assert (row["k"], row["v"]) == ('a;"b"\r\nc', 5)
    [row] = job_rows(sidewinder, "--source", "-", "--delimiter", "\\t", "--columns", "t, v", "--time", "t:ms", "--aggregate", "v=sum(v)",
                     stdin=b"1\t2\n2\t3\n")  # fmt: skip
    assert row["v"] == 5


def test_jsonl_nested_and_odd_rows(sidewinder: Path) -> None:
    lines = [
        '{"t":1,"a":{"b":2},"k":"\\u00e4\\ud83d\\ude00"}',
        '  {"k":"\\u00e4\\ud83d\\ude00","a":{"b":"3"},"t":2,"more":[1,{"t":9}]}  ',
        '{"t":3,"k":"\\ud800","a":{"b":1}}',
        '{"t":4,"k":"x","a":{"b":"many"}}',
        '{"t":"soon","k":"x","a":{"b":1}}',
        "[1,2]",
        '{"t":5',
        "",
    ]
    done = run_job(sidewinder, "--source", "-", "--format", "jsonl", "--time", "t:ms", "--key", "k", "--aggregate", "v=sum(a.b)",
                   "--sink", "jsonl:-", stdin="\n".join(lines).encode())  # fmt: skip
    assert done.code == 0
    assert [(row["k"], row["v"]) for row in done.rows] == [("ä😀", 5)]
    assert "5 rejected" in done.stderr
    for kind, line in (("text", 3), ("number", 4), ("time", 5), ("syntax", 6)):
        assert f"line {line}:" in done.stderr
        assert f"({kind})" in done.stderr
    assert "line 7" not in done.stderr, "only the first of each kind is shown"


def test_influx(sidewinder: Path) -> None:
    text = "cpu,host=a,region=eu busy=10.5,n=3i 1000000000\ncpu,host=b busy=20 1000000001\n# a comment\nmem,host=a used=1u 1000000002\n"
    rows = job_rows(sidewinder, "--source", "-", "--format", "influx", "--key", "measurement,host",
                    "--aggregate", "busy=mean(busy),n=sum(n),rows=count()", stdin=text.encode())  # fmt: skip
    assert [without(row, "window_start_ns", "window_end_ns") for row in rows] == [
        {"measurement": "cpu", "host": "a", "busy": 10.5, "n": 3, "rows": 1},
        {"measurement": "cpu", "host": "b", "busy": 20, "n": None, "rows": 1},
        {"measurement": "mem", "host": "a", "busy": None, "n": None, "rows": 1},
    ]


def test_statsd_over_udp(sidewinder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Engine(sidewinder, "--source", "udp://127.0.0.1:0", "--format", "statsd", "--window", "1h", "--sink", f"jsonl:{out}",
                "--listen", "127.0.0.1:0") as engine:  # fmt: skip
        port = engine.source_port("udp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(200):
                sender.sendto(f"db.query:{number}|ms\nweb.hits:1|c".encode(), ("127.0.0.1", port))
            sender.sendto(b"nonsense", ("127.0.0.1", port))
        wait_until("all datagrams", lambda: engine.rows_total() == 400)
        wait_until("the bad one", lambda: engine.metrics()['sidewinder_rejected_rows_total{reason="syntax"}'] == 1)
        assert engine.stop() == 0
    rows = {row["metric"]: row for row in map(json.loads, out.read_text().splitlines())}
    assert set(rows) == {"db.query", "web.hits"}
    assert (rows["db.query"]["count"], rows["db.query"]["sum"], rows["db.query"]["max"]) == (200, 19900, 199)
    assert rows["web.hits"]["sum"] == 200


def test_tcp_connections(sidewinder: Path, tmp_path: Path) -> None:
    """Rows split at every place, several senders at once, one without a last newline, one cut off in mid-row."""
    out = tmp_path / "out"
    with Engine(sidewinder, "--source", "tcp://127.0.0.1:0", *CSV, "--disorder", "1h", "--idle", "1h", "--sink", f"jsonl:{out}",
                "--listen", "127.0.0.1:0") as engine:  # fmt: skip
        port = engine.source_port("tcp")
        with (
            socket.create_connection(("127.0.0.1", port)) as first,
            socket.create_connection(("127.0.0.1", port)) as second,
        ):
            first.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"1,a,1\n2,a,2\n3,a,4":
                first.sendall(bytes([byte]))
                time.sleep(0.001)
            second.sendall(b"1,b,1\n2,b,2\n")
        with socket.create_connection(("127.0.0.1", port)) as third:
            third.sendall(b"4,a,8\n5,a,1234")
            wait_until("the whole row of the third", lambda: engine.rows_total() == 6)
            third.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with socket.create_connection(("127.0.0.1", port)) as fourth:
            fourth.sendall(b"6,a,16\n7,a,999")
            wait_until("the row of the fourth", lambda: engine.rows_total() == 7)
            assert engine.stop() == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["k"], row["n"], row["v"]) for row in rows] == [("a", 5, 31), ("b", 2, 3)]


def test_tcp_sender_without_the_columns_is_closed_and_others_go_on(sidewinder: Path) -> None:
    with Engine(
        sidewinder, "--source", "tcp://127.0.0.1:0", "--aggregate", "v=sum(v)", "--listen", "127.0.0.1:0"
    ) as engine:
        port = engine.source_port("tcp")
        with (
            socket.create_connection(("127.0.0.1", port)) as bad,
            socket.create_connection(("127.0.0.1", port)) as good,
        ):
            good.sendall(b"v\n1\n")
            bad.sendall(b"w\n1\n")
            bad.settimeout(TIMEOUT_S)
            try:
                assert bad.recv(10) == b""
            except ConnectionResetError:
                pass
            assert 'csv has no column "v"' in engine.said("closing a connection.*").group()
            good.sendall(b"2\n")
            wait_until("both good rows", lambda: engine.rows_total() == 2)
        assert engine.stop() == 0


def test_stopped_source_does_not_make_a_row_of_half_a_line(sidewinder: Path) -> None:
    words = ["--source", "-", *CSV, "--sink", "jsonl:-", "--listen", "127.0.0.1:0"]
    with Engine(sidewinder, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as engine:
        assert engine.process.stdin
        assert engine.process.stdout
        engine.process.stdin.write(b"0,a,1\n1,a,999")
        engine.process.stdin.flush()
        wait_until("the whole row", lambda: engine.rows_total() == 1)
        engine.signal(signal.SIGTERM)
        rows = [json.loads(line) for line in engine.process.stdout]
        assert engine.wait() == 0
    assert [(row["n"], row["v"]) for row in rows] == [(1, 1)]


def test_fifo_waits_for_its_writer(sidewinder: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with Engine(sidewinder, "--source", fifo, *CSV, "--sink", "jsonl:-", stdout=subprocess.PIPE) as engine:
        time.sleep(0.2)
        assert engine.process.poll() is None
        fifo.write_bytes(csv_rows(10))
        assert engine.process.stdout
        rows = [json.loads(line) for line in engine.process.stdout]
        assert engine.wait() == 0
    assert sum(row["n"] for row in rows) == 10


def test_ingest(sidewinder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--source", "ingest://ticks", *CSV, "--idle", "1h", "--sink", f"jsonl:{out}", "--listen", "127.0.0.1:0"]
    with Engine(sidewinder, *words) as engine:
        answer = engine.request("/ingest/ticks", "POST", b"1,a,1\n2,a,2\nbad\n3,b,x\n")
        assert answer.status == 202
        assert answer.json() == {"accepted": 2, "rejected": 2, "late": 0}
        assert engine.request("/ingest/ticks", "POST", b"9000,a,4\n").json()["accepted"] == 1
        assert engine.request("/ingest/ticks", "POST", b"3,a,8\n").json() == {"accepted": 0, "rejected": 0, "late": 1}
        assert engine.request("/ingest/ticks", "POST", b"").json()["accepted"] == 0
        assert engine.request("/ingest/other", "POST", b"1,a,1\n").status == 404
        assert engine.request("/ingest/ticks").status == 405
        assert engine.request("/ingest/ticks", "PUT", b"1,a,1\n").status == 405
        chunked = (
            f"POST /ingest/ticks HTTP/1.1\r\nHost: 127.0.0.1:{engine.port}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            "8\r\n9001,a,1\r\n2\r\n6\n\r\n0\r\n\r\n"
        )
        assert b'"accepted":1' in engine.exchange(chunked.encode())
        assert engine.stop() == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["k"], row["v"]) for row in rows] == [("a", 3), ("a", 20)]


def test_ingest_body_with_a_wrong_header(sidewinder: Path) -> None:
    with Engine(sidewinder, "--source", "ingest://x", "--aggregate", "v=sum(v)", "--listen", "127.0.0.1:0") as engine:
        answer = engine.request("/ingest/x", "POST", b"w\n1\n")
        assert answer.status == 400
        assert 'csv has no column "v"' in answer.json()["error"]
        assert engine.request("/ingest/x", "POST", b"v\n1\n2\n").json()["accepted"] == 2


def test_ingest_of_too_large_a_body(sidewinder: Path) -> None:
    with Engine(sidewinder, "--source", "ingest://x", *CSV, "--listen", "127.0.0.1:0") as engine:
        head = f"POST /ingest/x HTTP/1.1\r\nHost: 127.0.0.1:{engine.port}\r\nContent-Length: {17 << 20}\r\n\r\n"
        assert engine.exchange(head.encode()).startswith(b"HTTP/1.1 413 ")


def test_ingest_is_refused_whole_while_the_sink_is_blocked(sidewinder: Path) -> None:
    """429 until the sink is read again; every row that was accepted comes out, none of those refused."""
    words = [
        "--source",
        "ingest://x",
        "--columns",
        "t,k",
        "--time",
        "t:ms",
        "--key",
        "k",
        "--window",
        "1ms",
        "--listen",
        "127.0.0.1:0",
    ]
    with Engine(sidewinder, *words, "--sink", "csv:-", stdout=subprocess.PIPE) as engine:
        accepted, refused = 0, 0
        for number in itertools.count():
            body = "".join(f"{number * 4096 + row},{row}\n" for row in range(4096)).encode()
            answer = engine.request("/ingest/x", "POST", body)
            assert answer.status in (202, 429), answer
            accepted += answer.json()["accepted"]
            if answer.status == 429:
                assert answer.headers["Retry-After"] == "1"
                assert answer.json()["accepted"] == 0
                refused += 1
                if refused == 5:
                    break
            assert number < 2000, "the sink never held anything up"
        assert engine.get("/health")["status"] == "ok"
        assert engine.rss_bytes() < 500 << 20
        engine.process.terminate()
        assert engine.process.stdout
        lines = engine.process.stdout.read().splitlines()
        assert engine.wait() == 0
    assert len(lines) - 1 == accepted


def test_arrival_time(sidewinder: Path) -> None:
    before = time.time_ns()
    rows = job_rows(
        sidewinder, "--source", "-", "--columns", "v", "--window", "1h", "--aggregate", "v=sum(v)", stdin=b"1\n2\n"
    )
    assert [row["v"] for row in rows] in ([3], [1, 2])
    assert rows[0]["window_start_ns"] <= time.time_ns()
    assert rows[0]["window_end_ns"] > before


def rows_are(engine: Engine, count: int) -> bool:
    return [row["rows"] for row in engine.query()].count(1) == count


def test_arrival_time_windows_close_while_another_source_says_nothing(sidewinder: Path) -> None:
    """Two listeners, one of which never gets a row, then one that fell silent: the other's windows close by the clock."""
    words = [
        "--source",
        "tcp://127.0.0.1:0",
        "--source",
        "tcp://127.0.0.1:0",
        "--columns",
        "v",
        "--window",
        "200ms",
        "--listen",
        "127.0.0.1:0",
    ]
    with Engine(sidewinder, *words) as engine:
        wait_until("both listeners", lambda: engine.stderr.count("tcp listens on") == 2)
        ports = [int(line.rsplit(":", 1)[1]) for line in engine.lines if "tcp listens on" in line]
        total = 0
        for port in (ports[0], ports[1], ports[0]):
            with socket.create_connection(("127.0.0.1", port)) as sender:
                sender.sendall(b"1\n")
            total += 1
            wait_until("a closed window", functools.partial(rows_are, engine, total))


def test_idle_source_closes_its_windows(sidewinder: Path) -> None:
    """Of two sources one is silent: after --idle it no longer holds the other's windows open, and its own close as well."""
    words = [
        "--source",
        "tcp://127.0.0.1:0",
        "--source",
        "tcp://127.0.0.1:0",
        "--columns",
        "t,v",
        "--time",
        "t:ms",
        "--idle",
        "300ms",
    ]
    with Engine(sidewinder, *words, "--listen", "127.0.0.1:0", "--aggregate", "v=sum(v)") as engine:
        wait_until("both listeners", lambda: engine.stderr.count("tcp listens on") == 2)
        ports = [int(line.rsplit(":", 1)[1]) for line in engine.lines if "tcp listens on" in line]
        with socket.create_connection(("127.0.0.1", ports[0])) as sender:
            sender.sendall(b"100,1\n1100,2\n2100,4\n")
            wait_until("all three windows", lambda: [row["v"] for row in engine.query()] == [1, 2, 4])
            sender.sendall(b"2200,8\n3100,16\n")
            wait_until("the late row", lambda: engine.metrics()["sidewinder_late_rows_total"] == 1)
            wait_until("the fourth window", lambda: [row["v"] for row in engine.query()] == [1, 2, 4, 16])


def test_busy_source_keeps_windows_open_without_new_event_time(sidewinder: Path) -> None:
    """As long as rows come, only their own times close windows. The sender may be held up for less than --idle."""
    words = [
        "--source",
        "tcp://127.0.0.1:0",
        "--columns",
        "t",
        "--time",
        "t:ms",
        "--idle",
        "4s",
        "--listen",
        "127.0.0.1:0",
    ]
    with (
        Engine(sidewinder, *words) as engine,
        socket.create_connection(("127.0.0.1", engine.source_port("tcp"))) as sender,
    ):
        end = time.monotonic() + 5
        sent = 0
        while time.monotonic() < end:
            sender.sendall(b"5\n")
            sent += 1
            time.sleep(0.05)
        assert engine.query() == []
        wait_until("the window to close", lambda: [row["rows"] for row in engine.query()] == [sent])


def test_replay_paces_by_event_time(sidewinder: Path, tmp_path: Path) -> None:
    """30 s of events at 10x: no row comes before its time, all come in order, and the job is over when the events are."""
    path = tmp_path / "rows.csv"
    path.write_text("t,v\n" + "".join(f"{number * 100},{number}\n" for number in range(300)))
    words = [
        "--source",
        str(path),
        "--time",
        "t:ms",
        "--replay",
        "10x",
        "--aggregate",
        "last=last(v)",
        "--sink",
        "jsonl:-",
    ]
    begin = time.monotonic()
    with Engine(sidewinder, *words, stdout=subprocess.PIPE) as engine:
        assert engine.process.stdout
        seen = [(json.loads(line)["last"], time.monotonic() - begin) for line in engine.process.stdout]
        assert engine.wait() == 0
    assert [last for last, _ in seen] == list(range(9, 300, 10)), "windows of ten rows each, in order"
    assert all(at >= last * 0.1 / 10 for last, at in seen)


def test_replay_at_full_speed_and_stop_while_waiting(sidewinder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("t,v\n0,1\n1,2\n86400000,4\n")
    words = ["--source", str(path), "--time", "t:ms", "--aggregate", "v=sum(v)", "--sink", "jsonl:-"]
    assert [row["v"] for row in run_job(sidewinder, *words, "--replay", "max").rows] == [3, 4]
    with Engine(sidewinder, *words, "--replay", "1x", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE) as engine:
        wait_until("the rows before the wait", lambda: engine.rows_total() == 2)
        engine.process.terminate()
        assert engine.process.stdout
        assert [json.loads(line)["v"] for line in engine.process.stdout] == [3]
        assert engine.wait() == 0


def test_for_ends_an_endless_job(sidewinder: Path) -> None:
    begin = time.monotonic()
    done = run_job(sidewinder, "--source", "tcp://127.0.0.1:0", "--sink", "jsonl:-", "--for", "300ms")
    assert done.code == 0
    assert time.monotonic() - begin >= 0.3


def test_name_of_the_stream(sidewinder: Path, tmp_path: Path) -> None:
    path = tmp_path / "ticks.2024.csv.gz"
    path.write_bytes(gzip.compress(b"v\n1\n"))
    with Engine(sidewinder, "--source", path, "--listen", "127.0.0.1:0") as engine:
        assert engine.get("/api/streams")["streams"][0]["name"] == "ticks"
    with Engine(sidewinder, "--source", path, "--name", "öl & gas", "--listen", "127.0.0.1:0") as engine:
        assert engine.get("/api/streams")["streams"][0]["name"] == "öl & gas"
        wait_until("the row", lambda: engine.query("stream=%C3%B6l%20%26%20gas"))


def test_host(sidewinder: Path) -> None:
    with Engine(sidewinder, "--source", "host://?hz=50", "--window", "200ms", "--listen", "127.0.0.1:0") as engine:

        def shares() -> list[float]:
            rows = engine.query("stream=cpu&key=all")
            return [row["busy"] for row in rows if row["busy"] is not None]  # absent where no tick of the clock fell in

        assert all(0 <= share <= 100 for share in wait_until("windows of all processors", shares))
        [machine] = wait_until("the machine", lambda: engine.query("stream=machine&last=1"))
        assert machine["memory_used"] > 0
        assert machine["threads"] >= 1
        mine = f"key={quote(f'sidewinder [{engine.process.pid}]')}"
        row = wait_until("itself", lambda: engine.query(f"stream=process&{mine}&limit=1"))[0]
        assert row["rss"] > 0


def test_rows_nobody_wants_cost_no_memory(sidewinder: Path) -> None:
    """Late rows carry texts for topk into a batch that never fills."""
    words = [
        "--source",
        "-",
        "--columns",
        "t,w",
        "--time",
        "t:ms",
        "--aggregate",
        "top=topk(w,3)",
        "--listen",
        "127.0.0.1:0",
    ]
    with Engine(sidewinder, *words, stdin=subprocess.PIPE) as engine:
        assert engine.process.stdin
        line = b"1," + b"x" * 1000 + b"\n"
        engine.process.stdin.write(b"9999999,first\n" + line * 1000)
        engine.process.stdin.flush()
        wait_until("the first late rows", lambda: engine.metrics()["sidewinder_late_rows_total"] == 1000)
        before = engine.rss_bytes()
        for _ in range(100):
            engine.process.stdin.write(line * 1000)
        engine.process.stdin.flush()
        wait_until("all late rows", lambda: engine.metrics()["sidewinder_late_rows_total"] == 101_000)
        assert engine.rss_bytes() - before < 30 << 20


def test_more_keys_than_allowed(sidewinder: Path) -> None:
    text = "".join(f"{number},k{number % 5}\n" for number in range(100)).encode()
    done = run_job(sidewinder, "--source", "-", "--columns", "t,k", "--time", "t:ms", "--key", "k", "--max-keys", "3",
                   "--sink", "jsonl:-", stdin=text)  # fmt: skip
    assert done.code == 0
    assert [row["k"] for row in done.rows] == ["k0", "k1", "k2"]
    assert "40 rejected" in done.stderr
    assert "--max-keys" in done.stderr


def test_keys_that_are_no_utf8(sidewinder: Path) -> None:
    """Output stays valid JSON whatever the bytes."""
    done = run_job(sidewinder, "--source", "-", "--columns", "t,k", "--time", "t:ms", "--key", "k", "--sink", "jsonl:-",
                   stdin=b"1,\xff\xfe\n2,\x01\x1b\n3,ok\n")  # fmt: skip
    assert done.code == 0
    assert len([json.loads(line.decode("utf-8")) for line in done.stdout.splitlines()]) == 3
