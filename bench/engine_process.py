"""engine_process - The command under measurement: starting it, its addresses, and what the kernel says it used."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STOP_S = 20.0
AGGREGATES = (
    "trades=count(),open=first(price),high=max(price),low=min(price),close=last(price),volume=sum(size),"
    "vwap=vwap(price,size),mean=mean(price),sd=stddev(price),p99=quantile(price,0.99),conditions=distinct(condition)"
)


def command() -> str:
    """$SIDEWINDER, else build/sidewinder."""
    path = ROOT / os.environ.get("SIDEWINDER", "build/sidewinder")
    if not path.is_file():
        raise SystemExit(f"{path} is missing: run make, or set SIDEWINDER")
    return str(path)


def machine() -> str:
    """One line that says what the figures were measured on, and how busy it was."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, load {load:.1f} at the start"


def status_bytes(pid: int, name: str) -> int:
    """VmRSS or VmHWM of a process; 0 where there is none (any more)."""
    with contextlib.suppress(OSError):
        found = re.search(rf"^{name}:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    return 0


def memory_parts(pid: int) -> dict[str, int]:
    """Resident bytes: anonymous, of files (code and libraries), shared."""
    return {name: status_bytes(pid, name) for name in ("RssAnon", "RssFile", "RssShmem")}


def cpu_s(pid: int) -> float:
    """User and system time of all threads of a process, ended ones too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def threads_cpu_s(pid: int) -> dict[str, float]:
    """On-CPU seconds by thread name, exact to the nanosecond; threads of one name together."""
    used: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            name = (task / "comm").read_text().strip()
            used[name] = used.get(name, 0.0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return used


@dataclass
class Usage:
    """What one finished process took."""

    seconds: float
    cpu_s: float
    peak_bytes: int
    exit_code: int
    talk: str


class PeakWatch(threading.Thread):
    """Reads VmHWM while the process lives. ru_maxrss would not do: it starts at the peak of the process that forked."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.peak_bytes = 0
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(0.02):
            self.peak_bytes = max(self.peak_bytes, status_bytes(self.pid, "VmHWM"))


def measure(words: list[str]) -> Usage:
    """Runs a command to its end. Its time is that of the whole process, from fork to exit."""
    begin = time.perf_counter()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watch = PeakWatch(process.pid)
    watch.start()
    assert process.stderr
    talk = process.stderr.read().decode()
    _, wait_status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    watch.is_over.set()
    watch.join()
    return Usage(seconds, used.ru_utime + used.ru_stime, watch.peak_bytes, process.returncode, talk)


@dataclass
class Running:
    """A running `sidewinder run`; a context manager that ends it."""

    arguments: list[str]
    has_tcp: bool = False
    process: subprocess.Popen[bytes] = field(init=False)
    http_port: int = 0
    tcp_port: int = 0
    token: str = ""
    talk: str = ""

    def __enter__(self) -> Running:
        environment = {name: value for name, value in os.environ.items() if name != "SIDEWINDER_TOKEN"}
        self.process = subprocess.Popen(
            [command(), "run", *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        try:
            self._addresses_await()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        threading.Thread(target=self._drain, daemon=True).start()
        return self

    def _addresses_await(self) -> None:
        assert self.process.stderr
        while not self.http_port or (self.has_tcp and not self.tcp_port):
            line = self.process.stderr.readline().decode()
            if not line:
                raise SystemExit(f"sidewinder ended before it listened: {self.talk}")
            self.talk += line
            dashboard = re.search(r"dashboard at http://[^:/]+:(\d+)", line)
            tcp = re.search(r"tcp listens on .*:(\d+)", line)
            self.http_port = int(dashboard[1]) if dashboard else self.http_port
            self.tcp_port = int(tcp[1]) if tcp else self.tcp_port

    def _drain(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.talk += line.decode()

    @property
    def pid(self) -> int:
        return self.process.pid

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise SystemExit(f"sidewinder did not end {STOP_S:.0f} s after SIGTERM") from None


def table_print(title: str, header: list[str], rows: list[list[str]]) -> None:
    """The first column flush left, all others flush right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}")
    for row in [header, ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip())


def mib(count: float) -> str:
    return f"{count / (1 << 20):.1f} MiB"


def verdict(value: float, bar: float, is_at_least: bool = False) -> str:
    return "met" if (value >= bar if is_at_least else value <= bar) else "MISSED"
