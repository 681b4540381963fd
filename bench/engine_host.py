#!/usr/bin/env python3
"""engine_host - What `sidewinder run` costs while it watches this machine: the share of one core at 10 Hz.

200 sleeping processes are started on top of those that are there. Each case runs for some seconds after a warm-up; the figure is
the user and system time of all threads of the process over the wall time. The case "client" has a live client that is
subscribed to every chart and table the dashboard would show. Bar: at most 3 % of one core.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine_live import WebSocket, http_get
from engine_process import Running, cpu_s, machine, mib, status_bytes, table_print, threads_cpu_s, verdict

BAR_PERCENT = 3.0
WARM_UP_S = 5.0
CHARTS_MAX = 64
AGGREGATES_MAX = 8
TABLES_MAX = 16


def process_count() -> int:
    return sum(entry.name.isdigit() for entry in Path("/proc").iterdir())


@contextlib.contextmanager
def sleepers(count: int) -> Iterator[int]:
    """So many processes that only sleep; gives how many the machine has then."""
    started = [subprocess.Popen(["sleep", "3600"]) for _ in range(count)]
    try:
        yield process_count()
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def subscription(streams: list[dict[str, Any]]) -> dict[str, Any]:
    """All charts and tables of /api/streams."""
    charts: list[dict[str, Any]] = []
    tables: list[dict[str, Any]] = []
    for stream in streams:
        for chart in stream["charts"]:
            names = [chart[part] for part in ("line", "low", "high") if chart.get(part)]
            wanted = {"id": len(charts), "stream": stream["name"], "aggregates": names[:AGGREGATES_MAX], "range_s": 300}
            wanted.update({name: chart[name] for name in ("key", "top") if chart.get(name)})
            charts.append(wanted)
        if stream.get("table"):
            tables.append({"id": len(tables), "stream": stream["name"], "sort": stream["table"]["sort"], "limit": 25})
    return {"type": "subscribe", "rate_hz": 10, "charts": charts[:CHARTS_MAX], "tables": tables[:TABLES_MAX]}


class Client(threading.Thread):
    """Reads all that /live sends until closed."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.messages = 0
        self.bytes = 0
        self.live = WebSocket(port, "/live")
        self.live.send(subscription(http_get(port, "/api/streams")["streams"]))
        self.start()

    def run(self) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while True:
                _, body, _ = self.live.receive()
                self.messages += 1
                self.bytes += len(body)


def case_run(name: str, source: str, wanted: argparse.Namespace) -> tuple[list[str], float]:
    with Running(["--source", source, "--listen", "127.0.0.1:0"]) as running:
        client = Client(running.http_port) if name.startswith("client") else None
        time.sleep(WARM_UP_S)
        begin, used, threads = time.monotonic(), cpu_s(running.pid), threads_cpu_s(running.pid)
        messages = client.messages if client else 0
        time.sleep(wanted.seconds)
        wall_s = time.monotonic() - begin
        percent = (cpu_s(running.pid) - used) / wall_s * 100
        after = threads_cpu_s(running.pid)
        if client:
            messages = client.messages - messages
            client.live.close()
        shares = sorted(((after[thread] - threads.get(thread, 0)) / wall_s * 100, thread) for thread in after)
        busiest = ", ".join(f"{thread} {share:.2f}" for share, thread in reversed(shares[-3:]))
        resident = status_bytes(running.pid, "VmRSS")
    rate = f"{messages / wall_s:.0f}" if client else "-"
    return [name, f"{percent:.2f} %", busiest, rate, mib(resident), verdict(percent, BAR_PERCENT)], percent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each case (default 30)")
    parser.add_argument("--processes", type=int, default=200, help="to start (default 200)")
    parser.add_argument("--hz", type=int, default=10, help="of the source (default 10)")
    wanted = parser.parse_args()
    print(machine())
    with sleepers(wanted.processes) as count:
        source = f"host://?hz={wanted.hz}"
        rows = [case_run(name, source, wanted)[0] for name in ("no client", "client")]
    header = ["", "of a core", "busiest threads, %", "messages/s", "RSS", f"bar {BAR_PERCENT:g} %"]
    table_print(f"host:// at {wanted.hz} Hz, {count} processes, {wanted.seconds:g} s each", header, rows)


if __name__ == "__main__":
    main()
