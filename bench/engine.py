#!/usr/bin/env python3
"""engine - How fast `sidewinder run` turns ticks into one-second windows, beside DuckDB and Polars.

The same files, the same machine, the same run: N rounds in which every contender has its turn, medians of all rounds.
Eleven aggregates (count, first, max, min, last, sum, vwap, mean, stddev, p99, distinct) by second and exchange.

  recorded   recorded trade files, day after day: about 3 rows to a row of output
  dense      the same days merged into one, each row repeated 24 times: about 100 rows to a row of output

Sidewinder runs with one reader and one worker (--workers 1), to /dev/null and to a file; its time is that of the whole
process, start and exit included. The peers run with 2 threads, and with all cores where there are more; their time is
that of the query alone, with the result as a table in memory, or, in the rows named "file", written as lines of JSON.
How DuckDB and Polars compute p99 and distinct is in `bench/engine_peer.py --help`; their rows need no order.

The sums over all result rows are compared, so that all do the same work: exact for counts, 1e-9 for the rest, 2 % for
p99 and distinct. Bars: csv 15 million rows/s, jsonl 3 million rows/s.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import engine_data
from engine_peer import CHECKS, duckdb_sums
from engine_process import AGGREGATES, command, machine, measure, mib, table_print, verdict

BARS = {"csv": 15e6, "jsonl": 3e6}
PEERS = ["duckdb", "duckdb-exact", "polars"]
INPUTS = ["recorded.csv", "dense.csv", "recorded.jsonl", "dense.jsonl"]
ROUGH = {"p99": 0.02, "conditions": 0.02}


@dataclass
class Contender:
    """A way to do the work, and what its rounds took."""

    name: str
    words: list[str]
    output: Path | None = None
    is_sidewinder: bool = False
    rounds: list[dict[str, float]] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)

    def median(self, name: str) -> float:
        return statistics.median(taken[name] for taken in self.rounds)


def sidewinder_words(
    source: engine_data.Input, output: str, aggregates: str = AGGREGATES, key: str = "exchange"
) -> list[str]:
    words = [command(), "run", "--source", str(source.path), "--format", source.format]
    words += ["--time", "ms:ms", "--window", "1s"]
    words += ["--columns", engine_data.COLUMNS] if source.format == "csv" else []
    words += ["--key", key] if key else []
    return [*words, "--aggregate", aggregates, "--workers", "1", "--sink", f"jsonl:{output}"]


def peer_words(peer: str, source: engine_data.Input, threads: int, output: Path | None) -> list[str]:
    script = str(Path(__file__).with_name("engine_peer.py"))
    words = [sys.executable, script, peer, "--input", str(source.path), "--threads", str(threads)]
    return [*words, "--output", str(output)] if output else words


def contenders_make(
    source: engine_data.Input, folder: Path, wanted: argparse.Namespace, peers: list[str]
) -> list[Contender]:
    output = folder / "sidewinder.out"
    contenders = [
        Contender("sidewinder", sidewinder_words(source, "/dev/null"), None, True),
        Contender("sidewinder, file", sidewinder_words(source, str(output)), output, True),
    ]
    if wanted.decode:
        few = sidewinder_words(source, "/dev/null", "rows=count(),price=sum(price),volume=sum(size)", "")
        contenders.append(Contender("sidewinder, 3 sums, no key", few, None, True))
    threads = sorted({2, max(2, os.cpu_count() or 2)})
    for peer in peers:
        for count in threads:
            contenders.append(Contender(f"{peer}, {count} threads", peer_words(peer, source, count, None)))
        if peer != "duckdb" or "duckdb-exact" not in peers:
            written = folder / f"{peer}.json"
            contenders.append(Contender(f"{peer}, 2 threads, file", peer_words(peer, source, 2, written), written))
    return contenders


def round_run(contender: Contender) -> None:
    if contender.output:
        contender.output.unlink(missing_ok=True)
    if contender.is_sidewinder:
        used = measure(contender.words)
        if used.exit_code != 0:
            raise SystemExit(f"{contender.name} failed: {used.talk}")
        contender.rounds.append({"seconds": used.seconds, "cpu_s": used.cpu_s, "peak_bytes": used.peak_bytes})
        return
    taken = peer_run(contender.words)
    contender.sums = taken["sums"] or contender.sums
    contender.rounds.append({name: taken[name] for name in ("seconds", "cpu_s", "peak_bytes")})


def peer_run(words: list[str]) -> dict[str, Any]:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))


def sums_of_output(path: Path) -> list[float]:
    """The sums over sidewinder's own rows, added up by DuckDB because it reads them fastest."""
    import duckdb

    names = ["trades", "high", "low", "volume", "vwap", "mean", "sd", "p99", "conditions"]
    columns = ", ".join(f"'{name}': 'DOUBLE'" for name in names)
    table = f"read_json('{path}', format='newline_delimited', columns={{{columns}}})"
    row = duckdb.execute(duckdb_sums(table)).fetchone()
    assert row
    return [float(value) for value in row]


def sums_compare(contenders: list[Contender]) -> str:
    """How far the peers' sums lie from sidewinder's; ends the run where that is too far to be the same work."""
    ours = next((one for one in contenders if one.is_sidewinder and one.output), None)
    others = [one for one in contenders if one.sums]
    if not ours or not ours.output or not others:
        return "no peer to compare with"
    ours.sums = sums_of_output(ours.output)
    worst = {"exact": 0.0, "p99": 0.0, "conditions": 0.0}
    for other in others:
        for name, mine, theirs in zip(CHECKS, ours.sums, other.sums, strict=True):
            off = abs(mine - theirs) / max(abs(theirs), 1.0)
            kind = name if name in ROUGH else "exact"
            worst[kind] = max(worst[kind], off)
            if off > ROUGH.get(name, 0.0 if name in ("rows_out", "trades") else 1e-9):
                raise SystemExit(f"{other.name} and sidewinder differ in the sum of {name}: {theirs!r} and {mine!r}")
    return f"sums agree: within {worst['exact']:.0e}, p99 {worst['p99']:.2%}, distinct {worst['conditions']:.2%}"


def result_print(source: engine_data.Input, contenders: list[Contender], agreement: str) -> None:
    base = source.rows / contenders[0].median("seconds")
    rows = []
    for one in contenders:
        rate = source.rows / one.median("seconds")
        slowest = source.rows / max(taken["seconds"] for taken in one.rounds)
        rows.append(
            [
                one.name,
                f"{rate / 1e6:.2f}",
                f"{slowest / 1e6:.2f}",
                f"{one.median('cpu_s') / source.rows * 1e6:.3f}",
                mib(max(taken["peak_bytes"] for taken in one.rounds)),
                f"{base / rate:.2f}",
            ]
        )
    title = f"{source.name} {source.format}: {source.rows:,} rows, {mib(source.size_bytes)}; {agreement}"
    table_print(title, ["", "M rows/s", "slowest", "CPU s/M rows", "peak RSS", "sidewinder is x"], rows)
    bar = BARS[source.format]
    print(f"  bar: {bar / 1e6:.0f} M rows/s {verdict(base, bar, is_at_least=True)} ({base / 1e6:.2f})")


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def input_measure(
    source: engine_data.Input, folder: Path, wanted: argparse.Namespace, peers: list[str]
) -> dict[str, object]:
    contenders = contenders_make(source, folder, wanted, peers)
    engine_data.cache_fill(source.path)
    for number in range(wanted.rounds):
        for one in contenders:
            progress(f"{source.name} {source.format}, round {number + 1}: {one.name}")
            round_run(one)
    progress("")
    agreement = sums_compare(contenders)
    result_print(source, contenders, agreement)
    for one in contenders:
        if one.output:
            one.output.unlink(missing_ok=True)
    return {
        "input": source.name,
        "format": source.format,
        "rows": source.rows,
        "bytes": source.size_bytes,
        "agreement": agreement,
        "contenders": [
            {"name": one.name, "rows_per_s": source.rows / one.median("seconds"), "rounds": one.rounds}
            for one in contenders
        ],
    }


def arguments_read() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--rows", type=int, default=8_000_000, help="of csv (default 8,000,000)")
    parser.add_argument("--jsonl-rows", type=int, default=4_000_000, help="of jsonl (default 4,000,000)")
    parser.add_argument("--only", default=",".join(INPUTS), help=f"default {','.join(INPUTS)}")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"default {','.join(PEERS)}; an empty word for none")
    parser.add_argument("--decode", action="store_true", help="also three sums without a key: nearly decoding alone")
    parser.add_argument("--seed", type=int, default=7, help="of invented rows (default 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    wanted = parser.parse_args()
    unknown = set(wanted.only.split(",")) - set(INPUTS) or set(filter(None, wanted.peers.split(","))) - set(PEERS)
    if unknown:
        parser.error(f"no such input or peer: {', '.join(sorted(unknown))}")
    return wanted


def module(peer: str) -> str:
    return peer.partition("-")[0]


def main() -> None:
    wanted = arguments_read()
    peers = list(filter(None, wanted.peers.split(",")))
    for missing in {module(peer) for peer in peers if not importlib.util.find_spec(module(peer))}:
        print(f"{missing} is not installed, so it is left out: pip install --group bench", file=sys.stderr)
        peers = [peer for peer in peers if module(peer) != missing]
    header = machine()
    print(header)
    with tempfile.TemporaryDirectory(prefix="sidewinder-bench-") as name:
        folder = Path(name)
        results: list[dict[str, Any]] = []
        for one in wanted.only.split(","):
            counts = {"csv": wanted.rows, "jsonl": wanted.jsonl_rows}
            inputs, origin = engine_data.inputs_prepare(folder, [one], counts, wanted.seed)
            if not results:
                print(f"rows: {origin}")
            results.append(input_measure(inputs[0], folder, wanted, peers))
            inputs[0].path.unlink()
    if wanted.json:
        versions = {module(peer): importlib.import_module(module(peer)).__version__ for peer in peers}
        figures = {"machine": header, "rows": origin, "peers": versions, "results": results}
        wanted.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
