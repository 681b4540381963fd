#!/usr/bin/env python3
"""engine_latency - From an event's arrival on TCP to the view that shows it, at 100,000 events a second.

A feeder process writes a block of lines every 10 ms on an absolute schedule. Each line has a key and the number of its
block; the engine keeps max(block) by key and one-second window of arrival time. A live client, subscribed at 10 Hz, notes
which block each received point shows. When all is over, every block of every key is looked for in its own window: its
latency is the time from just before its block was written until the first message with a point that includes it was read.
A block that no message showed ends the run with an error, so that nothing slow is left out.

"from schedule" counts from when the block should have been written, which also holds the feeder's own delays and any
back-pressure. "engine" is latency_p99_ms of the engine's own stats, the worst of the run. Where Chromium is found and the
command has the dashboard in it, the same is measured in a headless page until the frame that shows the block is done.
Bar: p99 at most 150 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import socket
import time
import urllib.request
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any

import engine_browser
from engine_live import BINARY, WebSocket, series_read
from engine_process import Running, cpu_s, machine, table_print, verdict

BAR_MS = 150.0
BLOCK_S = 0.01
STREAM = "stream"
AGGREGATES = "block=max(block),rows=count(),mean=mean(value),p99=quantile(value,0.99)"
KEYS_MAX = 32  # of a chart
# When a view was there (ns), which key and window it is of, and the newest block in it.
Sighting = tuple[int, str, int, int]


def block_build(number: int, keys: int, rows: int) -> bytes:
    return b"".join(b"k%d,%d,%d\n" % (row % keys, number, (row * 7919 + number) % 1000) for row in range(rows))


def feed(port: int, wanted: argparse.Namespace, go: Event, result: Connection) -> None:
    """The feeder process. Sends back when each block was due and when it was written, in monotonic ns."""
    rows = round(wanted.rate * BLOCK_S)
    blocks = [block_build(i, wanted.keys, rows) for i in range(round(wanted.seconds / BLOCK_S))]
    due, sent = array("q"), array("q")
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        go.wait()
        begin = time.monotonic_ns() + 10_000_000
        for i, block in enumerate(blocks):
            due.append(begin + round(i * BLOCK_S * 1e9))
            time.sleep(max(0, due[-1] - time.monotonic_ns()) / 1e9)
            sent.append(time.monotonic_ns())
            link.sendall(block)
        result.send((due, sent, time.monotonic_ns()))


@dataclass
class Watch:
    """What the live client has seen."""

    live: WebSocket
    keys: list[str] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    stats: list[dict[str, Any]] = field(default_factory=list)
    messages: int = 0

    def read(self) -> None:
        kind, body, at_ns = self.live.receive()
        self.messages += 1
        if kind == BINARY:
            series = series_read(body)
            for key, values in zip(self.keys, series.values, strict=True):
                points = zip(series.times_ms, values[0], strict=True)
                self.sightings += [(at_ns, key, int(ms), int(block)) for ms, block in points if not math.isnan(block)]
            return
        message = json.loads(body)
        if message["type"] == "series":
            self.keys = [key[0] for key in message["keys"]]
        elif message["type"] == "stats":
            self.stats.append(message)


def delays(sightings: list[Sighting], from_ns: array[int], skip: int) -> dict[str, list[float]]:
    """By key, ms from `from_ns` of each block after the first `skip` until a view of the block's own window showed it.

    A window's last block is the greatest it ever showed; a block belongs to the first window whose last is not before it.
    """
    windows: dict[str, dict[int, list[tuple[int, int]]]] = {}
    for at_ns, key, start_ms, block in sorted(sightings):
        seen = windows.setdefault(key, {}).setdefault(start_ms, [])
        if not seen or block > seen[-1][1]:
            seen.append((at_ns, block))
    found: dict[str, list[float]] = {}
    for key, by_start in windows.items():
        order = [by_start[start] for start in sorted(by_start)]
        lasts = [seen[-1][1] for seen in order]
        for block in range(skip, len(from_ns)):
            which = bisect_left(lasts, block)
            if which == len(order):
                raise SystemExit(f"block {block} of key {key} was never shown")
            first = bisect_left([number for _, number in order[which]], block)
            found.setdefault(key, []).append((order[which][first][0] - from_ns[block]) / 1e6)
    return found


def row_of(name: str, found: dict[str, list[float]], has_bar: bool) -> list[str]:
    values = sorted(value for of_key in found.values() for value in of_key)
    if not values:
        raise SystemExit(f"{name}: nothing was shown")
    at = [values[min(len(values) - 1, int(len(values) * share))] for share in (0.5, 0.9, 0.99, 1.0)]
    return [name, *(f"{value:.1f}" for value in at), f"{len(values):,}", verdict(at[2], BAR_MS) if has_bar else ""]


def has_dashboard(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return b"<script" in answer.read()
    return False


def client_watch(running: Running, wanted: argparse.Namespace, feeder: multiprocessing.Process) -> Watch:
    watch = Watch(WebSocket(running.http_port, "/live"))
    chart = {"id": 1, "stream": STREAM, "aggregates": ["block"], "top": wanted.keys, "range_s": 10}
    watch.live.send({"type": "subscribe", "rate_hz": wanted.view_hz, "charts": [chart], "tables": []})
    while feeder.is_alive():
        watch.read()
    end = time.monotonic() + 3  # the last windows close a little later
    while time.monotonic() < end:
        watch.read()
    watch.live.close()
    return watch


def arguments_words(wanted: argparse.Namespace) -> list[str]:
    words = ["--source", "tcp://127.0.0.1:0", "--name", STREAM, "--columns", "key,block,value", "--key", "key"]
    words += ["--window", "1s", "--aggregate", AGGREGATES, "--idle", "1s", "--listen", "127.0.0.1:0", "--keep", "60"]
    return words + (["--workers", str(wanted.workers)] if wanted.workers else [])


@dataclass
class Feeder:
    """The feeder process and its end of the pipe."""

    process: multiprocessing.Process
    go: Event
    result: Connection


def feeder_start(port: int, wanted: argparse.Namespace) -> Feeder:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    go = multiprocessing.Event()
    process = multiprocessing.Process(target=feed, args=(port, wanted, go, sender), daemon=True)
    process.start()
    return Feeder(process, go, receiver)


def client_run(wanted: argparse.Namespace) -> list[list[str]]:
    with Running(arguments_words(wanted), has_tcp=True) as running:
        feeder = feeder_start(running.tcp_port, wanted)
        used_s, begin = cpu_s(running.pid), time.monotonic()
        feeder.go.set()
        watch = client_watch(running, wanted, feeder.process)
        used_s, wall_s = cpu_s(running.pid) - used_s, time.monotonic() - begin
        due, sent, over_ns = feeder.result.recv()
        feeder.process.join()
    skip = round(wanted.warm_up / BLOCK_S)
    shown = sorted({key for _, key, _, _ in watch.sightings})
    if len(shown) != wanted.keys:
        raise SystemExit(f"of {wanted.keys} keys the client was shown {len(shown)}")
    rate = round(wanted.rate * BLOCK_S) * len(sent) / ((over_ns - sent[0]) / 1e9)
    lag = sorted((at - planned) / 1e6 for at, planned in zip(sent, due, strict=True))
    worst = max((one["latency_p99_ms"] for one in watch.stats if one["latency_p99_ms"] is not None), default=math.nan)
    middle = [one["latency_p50_ms"] for one in watch.stats if one["latency_p50_ms"] is not None]
    p50 = f"{middle[-1]:.1f}" if middle else "-"
    last = watch.stats[-1]
    print(f"client: {rate:,.0f} events/s written, {last['events_total']:,} taken, {watch.messages} messages received")
    print(f"  engine: {used_s / wall_s:.1%} of a core, {last['views_dropped']} views dropped")
    print(f"  feeder: late by {lag[len(lag) // 2]:.1f} ms (median), {lag[int(len(lag) * 0.99)]:.1f} ms (p99)")
    return [
        row_of("event to client", delays(watch.sightings, sent, skip), True),
        row_of("event to client, from schedule", delays(watch.sightings, due, skip), True),
        ["engine, arrival to view", p50, "-", f"{worst:.1f}", "-", "-", verdict(worst, BAR_MS)],
    ]


def browser_run(wanted: argparse.Namespace, path: str) -> list[list[str]]:
    """The same with the dashboard in Chromium as the only client; four keys, which one chart shows together."""
    few = argparse.Namespace(**{**vars(wanted), "keys": min(wanted.keys, 4)})
    with Running(arguments_words(few), has_tcp=True) as running, engine_browser.browser_open(path) as page:
        if not has_dashboard(running.http_port):
            print("browser: left out, the command was built without the dashboard")
            return []
        feeder = feeder_start(running.tcp_port, few)
        feeder.go.set()
        ahead_ns = time.time_ns() - time.monotonic_ns()
        engine_browser.dashboard_watch(page, running.http_port, STREAM, "block")
        watched_ns = time.monotonic_ns()
        feeder.process.join(few.seconds + 60)
        time.sleep(3)
        due, sent, _ = feeder.result.recv()
        shown = engine_browser.shown_take(page)
    sightings = [(round(ms * 1e6) - ahead_ns, key, int(start), int(block)) for ms, key, start, block in shown]
    # Not before the page had watched for a second, and the warm-up was over.
    skip = max(round(few.warm_up / BLOCK_S), bisect_left(sent, watched_ns + 1_500_000_000))
    if skip >= len(sent):
        raise SystemExit("the page was ready too late: give it more --seconds")
    return [row_of("event to frame in Chromium", delays(sightings, sent, skip), True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=100_000, help="events a second (default 100,000)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of feeding (default 20)")
    parser.add_argument("--warm-up", type=float, default=4.0, help="seconds that do not count at the start (default 4)")
    parser.add_argument("--keys", type=int, default=20, help="1 to 32 (default 20)")
    parser.add_argument("--view-hz", type=float, default=10, help="rate the client subscribes with (default 10)")
    parser.add_argument("--workers", type=int, default=0, help="of the engine (default: its own)")
    parser.add_argument("--no-browser", action="store_true", help="leave Chromium out")
    wanted = parser.parse_args()
    if not 1 <= wanted.keys <= KEYS_MAX or wanted.rate * BLOCK_S < wanted.keys:
        parser.error("expected 1 to 32 keys, and an event of each key in a block")
    if wanted.seconds <= wanted.warm_up:
        parser.error("expected more seconds than the warm-up has")
    print(machine())
    rows = client_run(wanted)
    path = None if wanted.no_browser else engine_browser.browser_find()
    if path:
        rows += browser_run(wanted, path)
    elif not wanted.no_browser:
        print("browser: left out, no Chromium found")
    title = f"{wanted.rate:,} events/s over TCP, {wanted.seconds:g} s, {wanted.keys} keys; views at {wanted.view_hz:g} Hz; ms"
    table_print(title, ["", "p50", "p90", "p99", "max", "samples", f"p99 <= {BAR_MS:g} ms"], rows)


if __name__ == "__main__":
    main()
