#!/usr/bin/env python3
"""How well `sidewinder gil PID` agrees with the process itself, on every CPython there is.

    make bench X=probe/gil
    make bench X=probe/gil ARGS='--patterns two,mixed --rounds 5 --duration 3s --only 3.14'

The program (tests/python/gil_oracle.py) runs threads of known behaviour that log from inside when they held the GIL and when
they waited. Shown for each interpreter and pattern, medians over the rounds: the sum over the threads of the differences in
held and in waited time, as a share of all held and waited time (the bar is 3 %); the looks a second, the distance of two
looks at the 99th percentile, the share of time that was blind, the CPU of the watcher; and the share of time in which the
program itself could not tell, for it had no CPU. Where the last or the blind share is large, the machine was busy, and the
figures say little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.python.gil_compare import Comparison, compare  # noqa: E402
from tests.python.interpreters import interpreters  # noqa: E402

PATTERNS = ("alone", "turns", "two", "sleepers", "mixed", "released", "hog")
BAR = 0.03


def medians(found: list[Comparison]) -> dict[str, float | None]:
    def middle(values: list[float]) -> float:
        return statistics.median(values)

    reports = [one.report for one in found]
    durations = [report["duration_ns"] for report in reports]
    contended = [one for one in found if sum(row.waited for row in one.rows) > 0.01 * one.report["duration_ns"]]
    return {
        "held": middle([one.held_error for one in found]),
        "waited": middle([one.waited_error for one in contended]) if contended else None,
        "rate": middle([report["looks"] * 1e9 / report["duration_ns"] for report in reports]),
        "p99_us": middle([report["gap_ns"]["p99"] / 1e3 for report in reports]),
        "blind": middle([report["blind_ns"] / report["duration_ns"] for report in reports]),
        "cpu": middle([report["own_cpu_ns"] / report["duration_ns"] for report in reports]),
        "unsure": middle(
            [
                sum(row.unsure for row in one.rows) / len(one.rows) / length
                for one, length in zip(found, durations, strict=True)
            ]
        ),
    }


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patterns", default=",".join(PATTERNS), help="with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", default="3s", help="of each watching")
    parser.add_argument("--only", default="", help="versions that begin like this")
    arguments = parser.parse_args()
    sidewinder = ROOT / os.environ.get("SIDEWINDER", "build/sidewinder")
    patterns = arguments.patterns.split(",")
    chosen = [one for one in interpreters() if one.version_text.startswith(arguments.only) and not one.is_free_threaded]
    print(
        f"{'CPython':10} {'pattern':10} {'held off':>9} {'waited off':>10} {'looks/s':>8} {'gap p99':>9} "
        f"{'blind':>8} {'unsure':>8} {'own CPU':>8}"
    )
    missed = 0
    for interpreter in chosen:
        for pattern in patterns:
            found = [compare(sidewinder, interpreter, pattern, arguments.duration) for _ in range(arguments.rounds)]
            row = medians(found)
            is_missed = any(row[name] is not None and (row[name] or 0) > BAR for name in ("held", "waited"))
            missed += is_missed
            print(
                f"{interpreter!s:10} {pattern:10} {percent(row['held']):>9} {percent(row['waited']):>10} "
                f"{row['rate']:8.0f} {row['p99_us']:6.0f} us {percent(row['blind']):>8} {percent(row['unsure']):>8} "
                f"{percent(row['cpu']):>8}{'  above the bar' if is_missed else ''}",
                flush=True,
            )
    print(f"{len(chosen) * len(patterns) - missed} of {len(chosen) * len(patterns)} within the bar of {percent(BAR)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
