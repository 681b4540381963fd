"""Holds the engine's results against a short oracle in plain Python, on the recorded ticks and on made-up streams."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import statistics
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.python.engine_process import Row, job_rows, run_job

TRADE_COLUMNS = ("ms", "price", "size", "exchange", "condition", "suspicious")
TICK_AGGREGATES = (
    "trades=count(),open=first(price),high=max(price),low=min(price),close=last(price),volume=sum(size),"
    "vwap=vwap(price,size),mean=mean(price),sd=stddev(price),p99=quantile(price,0.99),conditions=distinct(condition)"
)
TRADES = ["aig_20131007", "aig_20131008", "bac_20131007", "bac_20131008", "ibm_20131007", "ibm_20131008"]

Event = dict[str, Any]
Groups = dict[tuple[Any, ...], list[Event]]


@dataclass
class Windowed:
    """What an oracle keeps: rows by (window start, key...), in the order of the output, and the late ones."""

    groups: Groups
    late: list[Event]


def windowed(events: Iterable[Event], window_ns: int, key: Sequence[str] = (), disorder_ns: int = 0) -> Windowed:
    """A row is late when its window ended at or before the watermark as it stood when the row came."""
    groups: Groups = defaultdict(list)
    late: list[Event] = []
    newest = -math.inf
    for event in events:
        start = event["t"] // window_ns * window_ns
        if start + window_ns <= newest - disorder_ns:
            late.append(event)
            continue
        newest = max(newest, event["t"])
        group = (start, *(str(event[name]).encode() for name in key))
        groups[group].append(event)
    return Windowed(dict(sorted(groups.items())), late)


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[math.floor(q * (len(values) - 1))]


def close(got: float | None, wanted: float | None, share: float) -> bool:
    if got is None or wanted is None:
        return got is wanted
    return got == wanted or abs(got - wanted) <= share * max(abs(wanted), 1e-300)


def close_to_scale(got: float | None, wanted: float | None, scale: float) -> bool:
    """Within 1e-9 of the value, or of rounding at the scale of the inputs (a deviation of equal decimals)."""
    return close(got, wanted, 1e-9) or (got is not None and wanted is not None and abs(got - wanted) <= 1e-9 * scale)


def check_ticks(row: Row, group: list[Event]) -> None:
    prices = [event["price"] for event in sorted(group, key=lambda event: event["t"])]
    sizes = [event["size"] for event in sorted(group, key=lambda event: event["t"])]
    exact = {
        "trades": len(prices),
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "volume": sum(sizes),
    }
    assert {name: row[name] for name in exact} == exact
    volume = math.fsum(sizes)
    vwap = math.fsum(p * s for p, s in zip(prices, sizes, strict=True)) / volume if volume else None
    assert close(row["vwap"], vwap, 1e-9)
    assert close(row["mean"], math.fsum(prices) / len(prices), 1e-9)
    deviation = statistics.stdev(prices) if len(prices) > 1 else None
    assert close_to_scale(row["sd"], deviation, 0 if deviation is None else 1e-3 * deviation), (row["sd"], deviation)
    assert close(row["p99"], quantile(prices, 0.99), 0.01)
    assert close(row["conditions"], len({event["condition"] for event in group}), 0.02)


def trades(path: Path) -> list[Event]:
    with path.open(newline="") as file:
        return [
            {
                "t": int(ms) * 1_000_000,
                "price": int(price),
                "size": int(size),
                "exchange": exchange,
                "condition": condition,
            }
            for ms, price, size, exchange, condition, _ in csv.reader(file)
        ]


def tick_file(shared_data: Path, name: str, folder: Path) -> Path:
    source = shared_data / "ticks" / f"{name}.zip"
    if not source.is_file():
        pytest.skip(f"{source} is not among the shared data sets")
    with zipfile.ZipFile(source) as archive:
        [member] = archive.namelist()
        return Path(archive.extract(member, folder))


def tick_words(path: Path, *more: str) -> list[str]:
    return ["--source", str(path), "--columns", ",".join(TRADE_COLUMNS), "--time", "ms:ms", "--key", "exchange",
            "--window", "1s", "--aggregate", TICK_AGGREGATES, *more]  # fmt: skip


def check_rows(
    rows: list[Row], wanted: Groups, key: Sequence[str], window_ns: int, check: Callable[[Row, list[Event]], None]
) -> None:
    """Every window and key once, in the order of window then key, each as `check` wants it."""
    names = [(row["window_start_ns"], *(row[name].encode() for name in key)) for row in rows]
    assert names == list(wanted)
    for row, group in zip(rows, wanted.values(), strict=True):
        assert row["window_end_ns"] == row["window_start_ns"] + window_ns
        check(row, group)


@pytest.mark.parametrize("name", TRADES)
def test_ticks(name: str, sidewinder: Path, shared_data: Path, tmp_path: Path) -> None:
    path = tick_file(shared_data, f"{name}_trade", tmp_path)
    rows = job_rows(sidewinder, *tick_words(path))
    wanted = windowed(trades(path), 1_000_000_000, ["exchange"])
    assert not wanted.late
    check_rows(rows, wanted.groups, ["exchange"], 1_000_000_000, check_ticks)


def test_any_number_of_workers_gives_the_same_bytes(sidewinder: Path, shared_data: Path, tmp_path: Path) -> None:
    path = tick_file(shared_data, "bac_20131008_trade", tmp_path)
    words = tick_words(path, "--sink", "jsonl:-")
    words[words.index(TICK_AGGREGATES)] += ",top=topk(condition,3),median=median(size),rate=rate()"
    outputs = {workers: run_job(sidewinder, *words, "--workers", str(workers)).stdout for workers in (1, 2, 3, 8)}
    assert len(outputs[1].splitlines()) > 10_000
    assert all(output == outputs[1] for output in outputs.values())


def check_quotes(row: Row, group: list[Event]) -> None:
    bids = [event["bid"] for event in group]
    asks = [event["ask"] for event in group]
    assert (row["n"], row["bid"], row["low"], row["high"]) == (len(bids), bids[-1], min(bids), max(bids))
    assert close(row["sum"], math.fsum(bids), 1e-15)
    assert close(row["mean"], math.fsum(asks) / len(asks), 1e-9)
    deviation = statistics.stdev(bids) if len(bids) > 1 else None
    assert close_to_scale(row["sd"], deviation, 1e-6), (row["sd"], deviation)
    assert close(row["p5"], quantile(asks, 0.05), 0.01)


@pytest.mark.parametrize(("window", "window_ns"), [("100ms", 10**8), ("1m", 60 * 10**9), ("1h", 3600 * 10**9)])
def test_quotes_without_key(window: str, window_ns: int, sidewinder: Path, shared_data: Path, tmp_path: Path) -> None:
    path = tick_file(shared_data, "eurusd_20140505_quote", tmp_path)
    events = []
    with path.open(newline="") as file:
        for ms, bid, ask in csv.reader(file):
            events.append({"t": int(ms) * 1_000_000, "bid": float(bid), "ask": float(ask)})
    aggregates = "n=count(bid),bid=last(bid),low=min(bid),high=max(bid),sum=sum(bid),mean=mean(ask),sd=stddev(bid),p5=quantile(ask,0.05)"
    rows = job_rows(sidewinder, "--source", path, "--columns", "ms,bid,ask", "--time", "ms:ms", "--window", window,
                    "--aggregate", aggregates)  # fmt: skip
    wanted = windowed(events, window_ns)
    assert not wanted.late
    check_rows(rows, wanted.groups, [], window_ns, check_quotes)


def test_two_keys(sidewinder: Path, shared_data: Path, tmp_path: Path) -> None:
    path = tick_file(shared_data, "ibm_20131008_trade", tmp_path)
    words = tick_words(path)
    words[words.index("exchange")] = "exchange,condition"
    words[words.index("1s")] = "1m"
    rows = job_rows(sidewinder, *words, "--workers", "3")
    wanted = windowed(trades(path), 60_000_000_000, ["exchange", "condition"])
    check_rows(rows, wanted.groups, ["exchange", "condition"], 60_000_000_000, check_ticks)


def jsonl(events: list[Event]) -> bytes:
    return "".join(json.dumps(event) + "\n" for event in events).encode()


def shuffled_events(seed: int, count: int = 20_000) -> list[Event]:
    """A walk through time with rows up to about 1.5 s out of order."""
    chance = random.Random(seed)
    print(f"seed {seed}")
    events = []
    now = 1_700_000_000_000
    for number in range(count):
        now += chance.choice([0, 0, 1, 1, 2, 7])
        events.append(
            {
                "t": now - int(chance.random() ** 6 * 1500),
                "k": f"key {chance.randrange(40)}",
                "v": chance.gauss(10, 3),
                "n": number,
            }
        )
    return events


@pytest.mark.parametrize("disorder_ms", [0, 200, 1000, 5000])
def test_disorder_and_late_rows(disorder_ms: int, sidewinder: Path, tmp_path: Path) -> None:
    events = shuffled_events(seed=disorder_ms + 1)
    late = tmp_path / "late"
    done = run_job(sidewinder, "--source", "-", "--format", "jsonl", "--time", "t:ms", "--key", "k", "--window", "250ms",
                   "--disorder", f"{disorder_ms}ms", "--late", late, "--workers", "3", "--sink", "jsonl:-",
                   "--aggregate", "n=count(),first=first(n),last=last(n),min=min(v),max=max(v),sum=sum(v)",
                   stdin=jsonl(events))  # fmt: skip
    assert done.code == 0, done.stderr
    in_ns = [event | {"t": event["t"] * 1_000_000} for event in events]
    wanted = windowed(in_ns, 250_000_000, ["k"], disorder_ms * 1_000_000)
    assert (len(wanted.late) > 0) == (disorder_ms < 1500)

    def check(row: Row, group: list[Event]) -> None:
        ordered = sorted(group, key=lambda event: event["t"])
        values = [event["v"] for event in group]
        assert (row["n"], row["first"], row["last"]) == (len(group), ordered[0]["n"], ordered[-1]["n"])
        assert (row["min"], row["max"]) == (min(values), max(values))
        assert close(row["sum"], math.fsum(values), 1e-15)

    check_rows(done.rows, wanted.groups, ["k"], 250_000_000, check)
    assert [json.loads(line)["n"] for line in late.read_text().splitlines()] == [event["n"] for event in wanted.late]
    assert f"{len(wanted.late)} late" in done.stderr


@pytest.mark.parametrize("kind", ["csv", "influx"])
def test_late_file_has_the_text_of_the_rows(kind: str, sidewinder: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    rows = {
        "csv": ["5000,a", '1,"x\ny"', "2,b", "6000,c"],
        "influx": ["m v=1 5000", "m v=2 1", "m,h=a v=3 2", "m v=4 6000"],
    }[kind]
    words = {"csv": ["--columns", "t,v", "--time", "t:ms"], "influx": ["--window", "1us"]}[kind]
    done = run_job(sidewinder, "--source", "-", "--format", kind, *words, "--late", late, "--sink", "jsonl:-",
                   stdin="\n".join(rows).encode() + b"\n")  # fmt: skip
    assert done.code == 0, done.stderr
    assert late.read_text() == "".join(f"{row}\n" for row in rows[1:3])


def test_times_before_1970(sidewinder: Path) -> None:
    rows = job_rows(sidewinder, "--source", "-", "--columns", "t,v", "--time", "t:ms", "--window", "1s",
                    "--aggregate", "v=sum(v)", stdin=b"-2500,1\n-2001,2\n-2000,4\n-1,8\n0,16\n999,32\n")  # fmt: skip
    assert [(row["window_start_ns"] // 10**9, row["v"]) for row in rows] == [(-3, 3), (-2, 4), (-1, 8), (0, 48)]


def test_rfc3339(sidewinder: Path) -> None:
    times = [
        "2024-02-29T23:59:59.25Z",
        "2024-02-29T23:59:59.999999999+00:00",
        "2024-03-01T01:00:00+01:00",
        "2024-03-01T00:00:00.5Z",
    ]
    rows = job_rows(
        sidewinder, "--source", "-", "--columns", "at", "--time", "at:rfc3339", stdin="\n".join(times).encode()
    )
    midnight = int(datetime(2024, 3, 1, tzinfo=timezone.utc).timestamp()) * 10**9
    assert [(row["window_start_ns"], row["rows"]) for row in rows] == [(midnight - 10**9, 2), (midnight, 2)]


@pytest.mark.parametrize(("unit", "text"), [("s", "1.5"), ("ms", "1500"), ("us", "1500000"), ("ns", "1500000000")])
def test_time_units(unit: str, text: str, sidewinder: Path) -> None:
    rows = job_rows(
        sidewinder, "--source", "-", "--columns", "t", "--time", f"t:{unit}", "--window", "1ms", stdin=text.encode()
    )
    assert [row["window_start_ns"] for row in rows] == [1_500_000_000]


@pytest.mark.parametrize(
    "number", ["9223372036854775807", "-9223372036854775808", "9223372036000000000", "-9223372036000000000"]
)
def test_times_at_the_edge_of_what_can_be(number: str, sidewinder: Path) -> None:
    """They are refused as rows, and do neither wrap around nor make the rows behind them late."""
    done = run_job(sidewinder, "--source", "-", "--columns", "t", "--time", "t:ns", "--window", "1h", "--disorder", "1h",
                   "--sink", "jsonl:-", stdin=f"5\n{number}\n6\n".encode())  # fmt: skip
    assert done.code == 0
    assert [row["rows"] for row in done.rows] == [2]
    assert "event time is out of range" in done.stderr
    assert "0 late, 1 rejected" in done.stderr


def test_missing_values(sidewinder: Path) -> None:
    """Absent values are left out; aggregates of nothing are null, sums included."""
    text = "0,a,1\n1,,\n2,a,\n1000,b,\n"
    [first, second] = job_rows(sidewinder, "--source", "-", "--columns", "t,k,v", "--time", "t:ms",
                               "--aggregate", "n=count(),nv=count(v),nk=count(k),s=sum(v),m=mean(v),lo=min(v),hi=max(v),d=distinct(k),sd=stddev(v),q=median(v),f=first(v)",
                               stdin=text.encode())  # fmt: skip
    assert {**first, "window_start_ns": 0, "window_end_ns": 0} == {
        "window_start_ns": 0, "window_end_ns": 0, "n": 3, "nv": 1, "nk": 2, "s": 1, "m": 1, "lo": 1, "hi": 1, "d": 1, "sd": None, "q": 1, "f": 1
    }  # fmt: skip
    assert [second[name] for name in ("n", "nv", "nk", "s", "m", "lo", "d", "sd", "q", "f")] == [
        1,
        0,
        1,
        None,
        None,
        None,
        1,
        None,
        None,
        None,
    ]


def test_distinct_and_quantiles_of_many_values(sidewinder: Path) -> None:
    chance = random.Random(7)
    values = [chance.lognormvariate(3, 2) for _ in range(50_000)]
    text = io.StringIO()
    for number, value in enumerate(values):
        text.write(f"{number // 100},{value!r},user{number % 31_000}\n")
    [row] = job_rows(sidewinder, "--source", "-", "--columns", "t,v,u", "--time", "t:ms", "--window", "1h", "--workers", "2",
                     "--aggregate", "p1=quantile(v,0.01),p50=median(v),p99=quantile(v,0.99),p100=quantile(v,1),p0=quantile(v,0),d=distinct(u),var=variance(v)",
                     stdin=text.getvalue().encode())  # fmt: skip
    for name, q in (("p0", 0), ("p1", 0.01), ("p50", 0.5), ("p99", 0.99), ("p100", 1)):
        assert close(row[name], quantile(values, q), 0.01), name
    assert close(row["d"], 31_000, 0.02)
    assert close(row["var"], statistics.variance(values), 1e-9)


def test_variance_far_from_zero(sidewinder: Path) -> None:
    """Prices in the billions that differ by cents: a naive sum of squares would have no digit left."""
    values = [1e9 + number % 7 / 100 for number in range(1000)]
    text = "".join(f"{number},{value!r}\n" for number, value in enumerate(values))
    [row] = job_rows(
        sidewinder,
        "--source",
        "-",
        "--columns",
        "t,v",
        "--time",
        "t:ms",
        "--aggregate",
        "var=variance(v)",
        stdin=text.encode(),
    )
    assert close(row["var"], statistics.variance(values), 1e-6)


def test_topk(sidewinder: Path) -> None:
    words = ["red"] * 50 + ["green"] * 30 + ["blue"] * 20 + ['"odd", \\ä\n'] * 10 + ["rare"]
    random.Random(3).shuffle(words)
    events = [{"t": number, "w": word} for number, word in enumerate(words)]
    [row] = job_rows(
        sidewinder,
        "--source",
        "-",
        "--format",
        "jsonl",
        "--time",
        "t:ms",
        "--aggregate",
        "top=topk(w,4)",
        stdin=jsonl(events),
    )
    assert [(item["value"], item["count"]) for item in row["top"]] == [
        ("red", 50),
        ("green", 30),
        ("blue", 20),
        ('"odd", \\ä\n', 10),
    ]


def test_several_files_are_one_stream(sidewinder: Path, shared_data: Path, tmp_path: Path) -> None:
    """Three files of the same hours, read at once; as first and last of equal times depend on who is first, they are left out."""
    paths = [tick_file(shared_data, f"{name}_20131007_trade", tmp_path) for name in ("aig", "bac", "ibm")]
    words = [word for path in paths for word in ("--source", str(path))]
    aggregates = "trades=count(),high=max(price),low=min(price),volume=sum(size),conditions=distinct(condition)"
    outputs = [
        run_job(sidewinder, *words, "--columns", ",".join(TRADE_COLUMNS), "--time", "ms:ms", "--key", "exchange", "--window", "1m",
                "--aggregate", aggregates, "--workers", workers, "--sink", "jsonl:-")
        for workers in ("1", "3")
    ]  # fmt: skip
    assert outputs[0].stdout == outputs[1].stdout
    assert "0 late" in outputs[0].stderr
    events = sorted((event for path in paths for event in trades(path)), key=lambda event: event["t"])
    wanted = windowed(events, 60_000_000_000, ["exchange"])

    def check(row: Row, group: list[Event]) -> None:
        prices = [event["price"] for event in group]
        volume = sum(event["size"] for event in group)
        assert (row["trades"], row["high"], row["low"], row["volume"]) == (len(group), max(prices), min(prices), volume)

    check_rows(outputs[0].rows, wanted.groups, ["exchange"], 60_000_000_000, check)
