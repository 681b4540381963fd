#!/usr/bin/env python3
"""engine_memory - Resident memory of `sidewinder run`: idle, and with 10,000 keys and 60 windows kept for the dashboard.

  idle   this machine's own figures with the dashboard on, a minute after the start; bar 25 MiB
  keys   rows of 10,000 keys over TCP, some of every key in each one-second window of event time, until more windows than
         are kept have closed; with the 11 aggregates of the tick example and with 5; bar 100 MiB

The case "keys" is fed at a pace the views can follow (--pace windows a second), and checked: a sample of keys must have
all windows kept, with all rows, and no view may have been dropped. "resident" is VmRSS when all is over, "peak" VmHWM;
the verdict is on the peak.
"""

from __future__ import annotations

import argparse
import re
import socket
import time
import urllib.parse
import urllib.request

from engine_data import COLUMNS
from engine_live import http_get
from engine_process import AGGREGATES, Running, machine, memory_parts, mib, status_bytes, table_print, verdict

MIB = 1 << 20
IDLE_BAR, KEYS_BAR = 25 * MIB, 100 * MIB
FEW_AGGREGATES = "trades=count(),high=max(price),low=min(price),volume=sum(size),mean=mean(price)"
SAMPLE = 20
CONDITIONS = (b"1", b"20000020", b"20", b"2000", b"20002020")


def row_of(name: str, pid: int, bar: int) -> tuple[list[str], int]:
    resident, peak = status_bytes(pid, "VmRSS"), status_bytes(pid, "VmHWM")
    parts = memory_parts(pid)
    row = [name, mib(resident), mib(peak), mib(parts["RssAnon"]), mib(parts["RssFile"]), mib(bar), verdict(peak, bar)]
    return row, resident


def idle_run(seconds: float) -> list[str]:
    with Running(["--listen", "127.0.0.1:0"]) as running:
        time.sleep(seconds)
        return row_of(f"idle, host:// after {seconds:g} s", running.pid, IDLE_BAR)[0]


def window_build(start_ms: int, keys: int, rows: int) -> bytes:
    """Rows of one window in the order of time: `rows` of each key, prices and conditions differ."""
    total = keys * rows
    return b"".join(
        b"%d,%d,%d,K%05d,%b,0\n"
        % (start_ms + i * 1000 // total, 100_000 + i * 7919 % 5003, 100 + i % 700, i % keys, CONDITIONS[i // keys % 5])
        for i in range(total)
    )


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    if not found:
        raise SystemExit(f"/metrics has no {name}")
    return float(found[1])


def feed(running: Running, wanted: argparse.Namespace) -> None:
    """One window more than are kept, and one that stays open."""
    start_ms = int(time.time()) * 1000
    due = time.monotonic()
    with socket.create_connection(("127.0.0.1", running.tcp_port)) as link:
        for window in range(wanted.windows + 2):
            block = window_build(start_ms + window * 1000, wanted.keys, wanted.rows)
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic()) + 1 / wanted.pace
            link.sendall(block)
        total = (wanted.windows + 2) * wanted.keys * wanted.rows
        end = time.monotonic() + 60
        while metric(running.http_port, "sidewinder_rows_total") < total:
            if time.monotonic() > end:
                raise SystemExit("the engine did not take all rows within a minute")
            time.sleep(0.2)
        time.sleep(1)


def held_check(port: int, wanted: argparse.Namespace) -> None:
    """Ends the run where the views do not hold what the figure claims."""
    if metric(port, "sidewinder_views_dropped_total"):
        print("views were dropped: feed more slowly (--pace)")
    for i in range(SAMPLE):
        key = urllib.parse.quote(f"K{i * (wanted.keys - 1) // (SAMPLE - 1):05d}")
        rows = http_get(port, f"/api/query?key={key}&aggregate=trades&last={wanted.windows}")["rows"]
        counts = [row["trades"] for row in rows]
        if len(counts) != wanted.windows or set(counts) != {wanted.rows}:
            raise SystemExit(
                f"{key} has {len(counts)} of {wanted.windows} windows, with {sorted(set(counts))} rows each"
            )


def keys_run(name: str, aggregates: str, wanted: argparse.Namespace) -> list[str]:
    words = ["--source", "tcp://127.0.0.1:0", "--name", "stream", "--columns", COLUMNS, "--time", "ms:ms"]
    words += ["--key", "exchange", "--window", "1s", "--aggregate", aggregates, "--listen", "127.0.0.1:0"]
    with Running([*words, "--keep", str(wanted.windows), "--idle", "1h"], has_tcp=True) as running:
        feed(running, wanted)
        row, resident = row_of(name, running.pid, KEYS_BAR)
        held_check(running.http_port, wanted)
    print(f"{name}: {resident / (wanted.keys * wanted.windows):.0f} bytes a key and window, all told")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--idle-seconds", type=float, default=60.0, help="until the idle process is looked at (default 60)"
    )
    parser.add_argument("--keys", type=int, default=10_000, help="(default 10,000)")
    parser.add_argument("--windows", type=int, default=60, help="kept (default 60)")
    parser.add_argument("--rows", type=int, default=5, help="of each key in each window (default 5)")
    parser.add_argument("--pace", type=float, default=4.0, help="windows a second (default 4)")
    wanted = parser.parse_args()
    print(machine())
    what = f"{wanted.keys:,} keys x {wanted.windows} windows"
    rows = [
        idle_run(wanted.idle_seconds),
        keys_run(f"{what}, 11 aggregates", AGGREGATES, wanted),
        keys_run(f"{what}, 5 aggregates", FEW_AGGREGATES, wanted),
    ]
    table_print("memory of sidewinder run", ["", "resident", "peak", "anonymous", "of files", "bar", "peak is"], rows)


if __name__ == "__main__":
    main()
