"""/api/query against what the sink wrote, /api/streams, /metrics, and /live as docs/live-protocol.md describes it."""

from __future__ import annotations

import itertools
import json
import math
import re
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.python.engine_process import TIMEOUT_S, Engine, Row, job_rows, wait_until, without

KEYS = ["a b", "ä&=", 'q"']
WINDOWS = 40
WORDS = ["--columns", "t,k,u,v", "--time", "t:ms", "--key", "k,u", "--workers", "3",
         "--aggregate", "n=count(),mean=mean(v),sd=stddev(v),top=topk(u,2),p99=quantile(v,0.99)"]  # fmt: skip


def events() -> bytes:
    lines = []
    for number in range(WINDOWS * 100):
        value = "" if number % 100 == 0 else f"{math.sin(number) * 5 + 20:.3f}"
        lines.append(f'{number * 10},"{KEYS[number % 3].replace(chr(34), chr(34) * 2)}",u{number % 2},{value}\n')
    return "".join(lines).encode()


@pytest.fixture(scope="module")
def wanted(sidewinder: Path) -> list[Row]:
    """What the jsonl sink writes, without the marks of anomalies."""
    return [without(row, "anomaly") for row in job_rows(sidewinder, "--source", "-", *WORDS, stdin=events())]


@pytest.fixture(scope="module")
def engine(sidewinder: Path, wanted: list[Row]) -> Iterator[Engine]:
    """A dashboard whose source has ended."""
    with Engine(
        sidewinder, "--source", "-", "--name", "s", *WORDS, "--listen", "127.0.0.1:0", stdin=subprocess.PIPE
    ) as running:
        assert running.process.stdin
        running.process.stdin.write(events())
        running.process.stdin.close()
        wait_until("all windows", lambda: len(running.query(f"last={WINDOWS + 1}")) == len(wanted))
        wait_until("their count", lambda: running.metrics()["sidewinder_rows_out_total"] == len(wanted))
        yield running


def plain(rows: list[Row]) -> list[Row]:
    assert all(row["open"] is False for row in rows)
    return [without(row, "anomaly", "open") for row in rows]


def test_query_equals_the_sink(engine: Engine, wanted: list[Row]) -> None:
    assert plain(engine.query()) == wanted
    assert plain(engine.query("stream=s&last=1000")) == wanted


def test_query_last_from_to_limit(engine: Engine, wanted: list[Row]) -> None:
    second = 10**9
    starts = [row["window_start_ns"] for row in wanted]
    assert plain(engine.query("last=3")) == [row for row in wanted if row["window_start_ns"] >= (WINDOWS - 3) * second]
    assert plain(engine.query(f"from_ns={5 * second}&to_ns={8 * second}")) == [
        row for row in wanted if 5 * second <= row["window_start_ns"] < 8 * second
    ]
    assert plain(engine.query(f"from_ns={5 * second + 1}&to_ns={8 * second + 1}")) == [
        row for row in wanted if 5 * second < row["window_start_ns"] <= 8 * second
    ]
    assert plain(engine.query(f"to_ns={2 * second}")) == [row for row in wanted if row["window_start_ns"] < 2 * second]
    assert plain(engine.query(f"last=5&to_ns={(WINDOWS - 3) * second}")) == [
        row for row in wanted if WINDOWS - 5 <= row["window_start_ns"] // second < WINDOWS - 3
    ]
    assert plain(engine.query("limit=7")) == wanted[:7]
    assert plain(engine.query("last=2&limit=7")) == wanted[-12:-5]
    assert engine.query("last=0") == engine.query("limit=0") == engine.query(f"from_ns={max(starts) + 1}") == []
    assert plain(engine.query("from_ns=-9223372036854775808&to_ns=9223372036854775807")) == wanted


def test_query_key_and_aggregate(engine: Engine, wanted: list[Row]) -> None:
    for key in KEYS:
        rows = engine.query(f"key={quote(key)}&key=u1&aggregate=mean,top")
        assert plain(rows) == [without(row, "n", "sd", "p99") for row in wanted if (row["k"], row["u"]) == (key, "u1")]
        assert len(rows) == WINDOWS
    assert engine.query("key=nobody&key=u1") == []
    assert engine.query("key=a+b&key=u0"), "a plus is a space"


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        ("stream=x", 404, "/api/streams"),
        ("aggregate=x", 404, "no aggregate 'x'"),
        ("key=a", 400, "2 key columns, 1 were given"),
        ("last=many", 400, "last is not a number"),
        ("last=-1", 400, "last is not a number"),
        ("from_ns=1.5", 400, "from_ns is not a number"),
        ("limit=99999999999999999999", 400, "limit is not a number"),
        ("first=3", 400, "unknown parameter 'first'; there are stream, key, aggregate"),
        ("key=%zz&key=u1", 400, "broken escape"),
    ],
)
def test_query_errors(parameters: str, status: int, said: str, engine: Engine) -> None:
    answer = engine.request(f"/api/query?{parameters}")
    assert answer.status == status
    assert said in answer.json()["error"]


def test_query_marks_anomalies_as_the_sink_does(sidewinder: Path) -> None:
    text = "".join(
        f"{second * 1000},{99 if second == 380 else 10 + second % 3 / 10}\n" for second in range(400)
    ).encode()
    words = ["--source", "-", "--columns", "t,v", "--time", "t:ms", "--aggregate", "v=mean(v)"]
    marked = [row["window_start_ns"] for row in job_rows(sidewinder, *words, stdin=text) if "anomaly" in row]
    assert 380 * 10**9 in marked
    with Engine(sidewinder, *words, "--listen", "127.0.0.1:0", stdin=subprocess.PIPE) as running:
        assert running.process.stdin
        running.process.stdin.write(text)
        running.process.stdin.close()
        rows = wait_until("all windows", lambda: (rows := running.query("last=400")) and len(rows) == 400 and rows)
        scores = {row["window_start_ns"]: row["anomaly"].get("v", 0) for row in rows}
        assert all(0 <= score <= 1 for score in scores.values())
        assert min(scores[start] for start in marked) > max(
            score for start, score in scores.items() if start not in marked
        )
        assert running.metrics()["sidewinder_anomalies_total"] == len(marked)
        with live(running) as session:
            event = session.until("event")
        assert event["level"] == "anomaly"
        assert (event["stream"], event["aggregate"], event["key"]) == ("stream", "v", [])
        assert event["time_ms"] * 10**6 in marked
        assert event["value"] in (99, *(round(10 + part / 10, 1) for part in range(3)))


def test_open_windows(sidewinder: Path) -> None:
    """Open rows of all workers, in the order of their keys; gone once they are closed."""
    words = [
        "--source",
        "-",
        "--columns",
        "t,k",
        "--time",
        "t:ms",
        "--key",
        "k",
        "--workers",
        "3",
        "--aggregate",
        "n=count()",
        "--idle",
        "1h",  # however long the test is held up, silence closes nothing
    ]
    with Engine(sidewinder, *words, "--listen", "127.0.0.1:0", stdin=subprocess.PIPE) as running:
        assert running.process.stdin
        running.process.stdin.write(
            "".join(f"{time_ms},key {key:02}\n" for time_ms in (100, 1100) for key in range(40)).encode()
        )
        running.process.stdin.flush()
        rows = wait_until("open rows", lambda: (rows := running.query("open=1")) and len(rows) == 80 and rows)
        assert [row["k"] for row in rows] == [f"key {key:02}" for key in range(40)] * 2
        assert [row["open"] for row in rows] == [False] * 40 + [True] * 40
        assert len(running.query("open=1&limit=50")) == 50
        assert [row["open"] for row in running.query("open=1&key=key%2007")] == [False, True]
        assert len(running.query("open=0")) == 40
        running.process.stdin.close()
        wait_until("their end", lambda: [row["open"] for row in running.query("open=1")] == [False] * 80)


def test_keep(sidewinder: Path) -> None:
    text = "".join(f"{number * 1000}\n" for number in range(100)).encode()
    words = ["--source", "-", "--columns", "t", "--time", "t:ms", "--keep", "10"]
    with Engine(sidewinder, *words, "--listen", "127.0.0.1:0", stdin=subprocess.PIPE) as running:
        assert running.process.stdin
        running.process.stdin.write(text)
        running.process.stdin.close()
        wait_until(
            "the last window",
            lambda: running.query("last=1") and running.query("last=1")[0]["window_start_ns"] == 99 * 10**9,
        )
        assert [row["window_start_ns"] // 10**9 for row in running.query("last=100")] == list(range(90, 100))


def test_streams(engine: Engine) -> None:
    answer = engine.get("/api/streams")
    assert answer["job"]["name"] == "s"
    assert (answer["job"]["workers"], answer["job"]["sources"], answer["job"]["keep_windows"]) == (3, ["-"], 600)
    assert abs(answer["job"]["started_ns"] / 1e9 - time.time()) < TIMEOUT_S * 4
    [stream] = answer["streams"]
    assert (stream["name"], stream["keys"], stream["window_ns"], stream["has_event_time"]) == (
        "s",
        ["k", "u"],
        10**9,
        True,
    )
    assert [aggregate["name"] for aggregate in stream["aggregates"]] == ["n", "mean", "sd", "top", "p99"]
    assert [aggregate["function"] for aggregate in stream["aggregates"]] == [
        "count",
        "mean",
        "stddev",
        "topk",
        "quantile",
    ]
    names = {aggregate["name"] for aggregate in stream["aggregates"]} - {"top"}
    assert {chart["line"] for chart in stream["charts"]} == names
    assert stream["table"]["sort"] in names


def test_host_charts_name_what_is_there(sidewinder: Path) -> None:
    with Engine(sidewinder, "--listen", "127.0.0.1:0") as running:
        for stream in running.get("/api/streams")["streams"]:
            names = {aggregate["name"] for aggregate in stream["aggregates"]}
            for chart in stream["charts"]:
                assert {chart["line"], chart.get("low", chart["line"]), chart.get("high", chart["line"])} <= names
            assert {tile["aggregate"] for tile in stream["tiles"]} <= names


def test_metrics_are_prometheus_text(engine: Engine, wanted: list[Row]) -> None:
    answer = engine.request("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = answer.body.decode()
    assert text.endswith("\n")
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if comment := re.fullmatch(r"# TYPE (sidewinder_[a-z0-9_]+) (counter|gauge)", line):
            assert comment.group(1) not in kinds
            kinds[comment.group(1)] = comment.group(2)
        elif not re.fullmatch(r"# HELP sidewinder_[a-z0-9_]+ [^\n]+", line):
            sample = re.fullmatch(r'(sidewinder_[a-z0-9_]+)(\{[a-z]+="[a-z]+"(,[a-z]+="[a-z]+")*\})? (\S+)', line)
            assert sample, line
            assert sample.group(1) in kinds, "its type comes first"
            assert (kinds[sample.group(1)] == "counter") == sample.group(1).endswith("_total")
            assert math.isfinite(float(sample.group(4)))
    metrics = engine.metrics()
    assert metrics["sidewinder_rows_total"] == WINDOWS * 100
    assert metrics["sidewinder_bytes_total"] == len(events())
    assert metrics["sidewinder_rows_out_total"] == len(wanted)
    assert metrics["sidewinder_windows_closed_total"] == WINDOWS, "once each, whatever the number of workers"
    assert metrics["sidewinder_keys"] == 6
    assert metrics["sidewinder_late_rows_total"] == metrics["sidewinder_views_dropped_total"] == 0


class Live:
    """A /live session, with the events it was sent so far."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: list[Any] = []

    def send(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def receive(self) -> Any:
        message = self.connection.recv(timeout=TIMEOUT_S)
        return json.loads(message) if isinstance(message, str) else Frame(message)

    def until(self, kind: str) -> Any:
        """The next message of that type; "frame" for binary ones."""
        while True:
            message = self.receive()
            if isinstance(message, dict) and message["type"] == "event":
                self.events.append(message)
            if (message["type"] if isinstance(message, dict) else "frame") == kind:
                return message


@contextmanager
def live(engine: Engine) -> Iterator[Live]:
    with connect(f"ws://127.0.0.1:{engine.port}/live", compression="deflate", max_size=None, open_timeout=TIMEOUT_S,
                 ping_interval=None, close_timeout=TIMEOUT_S) as connection:  # fmt: skip
        yield Live(connection)


class Frame:
    """A binary message, taken apart as the protocol says."""

    def __init__(self, data: bytes) -> None:
        kind, self.flags, self.chart, series, aggregates, points = struct.unpack_from("<BBHIII", data)
        assert kind == 1
        self.is_reset = bool(self.flags & 1)
        self.is_last_open = bool(self.flags & 2)
        assert len(data) == 16 + 8 * points * (1 + series * aggregates) + 4 * points * series
        self.times_ms = struct.unpack_from(f"<{points}d", data, 16)
        at = 16 + 8 * points
        self.values: list[list[tuple[float, ...]]] = []
        for _ in range(series):
            self.values.append([])
            for _ in range(aggregates):
                self.values[-1].append(struct.unpack_from(f"<{points}d", data, at))
                at += 8 * points
        self.scores = [struct.unpack_from(f"<{points}f", data, at + 4 * points * number) for number in range(series)]


def values_of(rows: list[Row], name: str) -> list[float]:
    return [math.nan if row[name] is None else row[name] for row in rows]


def same(got: tuple[float, ...], wanted: list[float]) -> bool:
    return len(got) == len(wanted) and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(got, wanted, strict=True)
    )


def test_live_series(engine: Engine, wanted: list[Row]) -> None:
    with live(engine) as session:
        hello = session.receive()
        assert hello["type"] == "hello"
        assert hello["started_ns"] == engine.get("/api/streams")["job"]["started_ns"]
        assert abs(hello["now_ms"] / 1000 - time.time()) < TIMEOUT_S
        session.send(
            type="subscribe",
            rate_hz=20,
            charts=[{"id": 7, "stream": "s", "aggregates": ["mean", "sd", "n"], "top": 4, "sort": "n"}],
        )
        series = session.until("series")
        assert (series["chart"], len(series["keys"])) == (7, 4)
        last = {(row["k"], row["u"]): row["n"] for row in wanted[-6:]}
        counts = [last[k, u] for k, u in series["keys"]]
        assert counts == sorted(last.values(), reverse=True)[:4], "those with the greatest latest value"
        frame = session.until("frame")
        assert (frame.chart, frame.is_reset, frame.is_last_open) == (7, True, False)
        assert list(frame.times_ms) == [second * 1000 for second in range(WINDOWS)]
        for (k, u), columns in zip(series["keys"], frame.values, strict=True):
            rows = [row for row in wanted if (row["k"], row["u"]) == (k, u)]
            for name, values in zip(("mean", "sd", "n"), columns, strict=True):
                assert same(values, values_of(rows, name)), name
        assert all(0 <= score <= 1 for scores in frame.scores for score in scores)


def test_live_fixed_key_and_range(engine: Engine, wanted: list[Row]) -> None:
    with live(engine) as session:
        session.send(type="subscribe", charts=[
            {"id": 1, "stream": "s", "aggregates": ["p99"], "key": [KEYS[1], "u1"], "range_s": 9},
            {"id": 2, "stream": "s", "aggregates": ["p99"], "key": ["nobody", "u1"]},
        ])  # fmt: skip
        assert session.until("series") == {"type": "series", "chart": 1, "keys": [[KEYS[1], "u1"]]}
        frame = session.until("frame")
        rows = [row for row in wanted if (row["k"], row["u"]) == (KEYS[1], "u1")][-10:]
        assert [time_ms * 10**6 for time_ms in frame.times_ms] == [row["window_start_ns"] for row in rows]
        assert same(frame.values[0][0], values_of(rows, "p99"))


def test_live_table(engine: Engine, wanted: list[Row]) -> None:
    newest = wanted[-6:]
    with live(engine) as session:
        session.send(
            type="subscribe", tables=[{"id": 3, "stream": "s", "sort": "mean", "descending": False, "limit": 2}]
        )
        table = session.until("table")
        assert (table["table"], table["stream"], table["is_open"], table["total"]) == (3, "s", False, 6)
        assert table["window_start_ms"] == (WINDOWS - 1) * 1000
        best = sorted(newest, key=lambda row: row["mean"])[:2]
        assert [row["key"] for row in table["rows"]] == [[row["k"], row["u"]] for row in best]
        for got, row in zip(table["rows"], best, strict=True):
            assert (got["values"][0], got["values"][1], got["values"][4]) == (row["n"], row["mean"], row["p99"])
            assert len(got["scores"]) == 5
        session.send(
            type="subscribe", tables=[{"id": 4, "stream": "s", "sort": "", "descending": False, "filter": "Ä&"}]
        )
        table = session.until("table")
        assert table["table"] == 4
        session.send(
            type="subscribe", tables=[{"id": 5, "stream": "s", "sort": "", "descending": False, "filter": "A B"}]
        )
        table = session.until("table")
        assert [row["key"] for row in table["rows"]] == [["a b", "u0"], ["a b", "u1"]]
        assert table["total"] == 2


def test_live_stats(engine: Engine) -> None:
    with live(engine) as session:
        seen = [session.until("stats") for _ in range(6)]
    gaps_ms = [after["now_ms"] - before["now_ms"] for before, after in itertools.pairwise(seen)]
    assert statistics.median(gaps_ms) > 400, "twice a second; one that was held up brings the next one nearer"
    stats = seen[-1]
    assert stats["events_total"] == WINDOWS * 100
    assert (stats["late"], stats["malformed"], stats["rejected"], stats["keys"]) == (0, 0, 0, 6)
    assert stats["watermark_ms"] == (WINDOWS - 1) * 1000
    assert stats["clients"] >= 1
    assert stats["rss_bytes"] > 1 << 20
    assert {thread["role"] for thread in stats["threads"]} == {"reader", "worker", "merger", "server"}
    assert len([thread for thread in stats["threads"] if thread["role"] == "worker"]) == 3
    assert {stage["name"] for stage in stats["stages"]} == {"decode", "aggregate", "merge", "sink", "serve"}
    assert all(0 <= ring["depth"] <= ring["capacity"] for ring in stats["rings"])
    assert {"events_per_s", "bytes_per_s", "watermark_lag_ms", "latency_p50_ms", "latency_p99_ms", "batches_per_s", "windows_closed",
            "views_dropped", "anomalies", "now_ms"} <= set(stats)  # fmt: skip


def test_live_events_and_updates(sidewinder: Path) -> None:
    """Rows come while somebody watches: frames go on where they were, open windows are sent again, closed ones replace them."""
    words = ["--source", "-", "--columns", "t,v", "--time", "t:ms", "--aggregate", "n=count(),s=sum(v)", "--idle", "1h"]
    with (
        Engine(sidewinder, *words, "--listen", "127.0.0.1:0", stdin=subprocess.PIPE) as running,
        live(running) as session,
    ):
        source = running.process.stdin
        assert source
        session.send(type="subscribe", rate_hz=60, charts=[{"id": 1, "stream": "stream", "aggregates": ["n", "s"]}])
        points: dict[float, tuple[float, float]] = {}

        def watch(until: dict[float, tuple[float, float]]) -> None:
            while points != until:
                frame = session.until("frame")
                if frame.is_reset:
                    points.clear()
                if frame.values:
                    points.update(zip(frame.times_ms, zip(*frame.values[0], strict=True), strict=True))

        source.write(b"100,1\nbad\n200,2\n")
        source.flush()
        watch({0.0: (2, 3)})
        source.write(b"300,4\n1100,8\n")
        source.flush()
        watch({0.0: (3, 7), 1000.0: (1, 8)})
        while not session.events:
            session.until("stats")
        [event] = session.events
        assert event["level"] == "warn"
        assert "line 2" in event["text"]
        assert "key" not in event
        session.send(type="pause")
        time.sleep(0.3)
        source.write(b"2100,16\n")
        source.flush()
        wait_until("the row", lambda: len(running.query("open=1")) == 3)
        time.sleep(0.3)
        session.send(type="resume")
        source.write(b"3100,32\n")
        source.flush()
        watch({0.0: (3, 7), 1000.0: (1, 8), 2000.0: (1, 16), 3000.0: (1, 32)})
        with live(running) as other:
            assert other.until("event")["id"] == event["id"], "events of before are sent to who comes later"


def test_live_same_chart_goes_on_without_reset(engine: Engine) -> None:
    chart = {"id": 1, "stream": "s", "aggregates": ["mean"], "top": 2}
    with live(engine) as session:
        session.send(type="subscribe", charts=[chart])
        assert session.until("frame").is_reset
        session.send(type="subscribe", charts=[chart, {**chart, "id": 2, "top": 3}])
        assert session.until("series")["chart"] == 2
        frame = session.until("frame")
        assert (frame.chart, frame.is_reset) == (2, True)


def sse_events(engine: Engine, path: str) -> Iterator[tuple[str, Any]]:
    with engine.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        stream = connection.makefile("rb")
        head = b"".join(iter(stream.readline, b"\r\n"))
        assert b"200 OK" in head
        assert b"text/event-stream" in head.lower()
        name, data = "", ""
        for line in stream:
            field, _, value = line.decode().rstrip("\r\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data += value
            elif not field and data:
                yield name, json.loads(data)
                name, data = "", ""


def test_sse(engine: Engine, wanted: list[Row]) -> None:
    rows: list[Row] = []
    names = set()
    for name, data in sse_events(engine, "/live?stream=s"):
        names.add(name)
        if name == "window":
            assert data["stream"] == "s"
            rows += data["rows"]
        if len(rows) >= len(wanted) and "stats" in names:
            break
    assert plain(rows) == wanted
    assert engine.request("/live?stream=x").status == 404


def test_restart_is_another_engine(sidewinder: Path) -> None:
    started = set()
    for _ in range(2):
        with (
            Engine(sidewinder, "--source", "tcp://127.0.0.1:0", "--listen", "127.0.0.1:0") as running,
            live(running) as session,
        ):
            started.add(session.receive()["started_ns"])
    assert len(started) == 2


def test_idle_engine_is_small(sidewinder: Path) -> None:
    with Engine(sidewinder, "--listen", "127.0.0.1:0") as running:
        wait_until("some windows", lambda: len(running.query("stream=machine")) >= 3)
        if running.memory_bytes("VmSize") > 1 << 40:
            pytest.skip("a sanitizer's build keeps a shadow of its memory")
        assert running.rss_bytes() < 25 << 20
