"""engine_peer - One run of a peer for bench/engine.py, in a process of its own; prints what it took as JSON.

    engine_peer.py duckdb|duckdb-exact|polars --input FILE --threads N [--output FILE]

Without --output the result is materialised as a table of the peer's own; with it, written there as lines of JSON.
duckdb        open and close are arg_min and arg_max by time, p99 approx_quantile, conditions approx_count_distinct
duckdb-exact  the same with quantile_disc and count(distinct), which is faster while groups are small
polars        streaming engine; open and close are first and last, p99 and conditions exact (approx_n_unique beside a
              quantile takes Polars 2.1 about 15 times as long)
Columns have the types with which each peer was fastest. Neither is asked for an order of its rows. The time is that of
the query alone; imports are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

from engine_data import COLUMNS
from engine_process import status_bytes

CHECKS = ["rows_out", "trades", "high", "low", "volume", "vwap", "mean", "sd", "p99", "conditions"]
# What does the work, what then adds its result up, and the peer's version.
Prepared = tuple[Callable[[], None], Callable[[], list[float]], str]
DUCKDB_COLUMNS = (
    "{'ms':'BIGINT','price':'DOUBLE','size':'DOUBLE','exchange':'VARCHAR','condition':'VARCHAR','suspicious':'DOUBLE'}"
)


def duckdb_query(path: Path, is_exact: bool) -> str:
    p99 = "quantile_disc(price, 0.99)" if is_exact else "approx_quantile(price, 0.99)"
    conditions = "count(distinct condition)" if is_exact else "approx_count_distinct(condition)"
    if path.suffix == ".csv":
        options = "header=false, auto_detect=false, delim=',', quote='', escape=''"
        source = f"read_csv('{path}', {options}, columns={DUCKDB_COLUMNS})"
    else:
        source = f"read_json('{path}', format='newline_delimited', columns={DUCKDB_COLUMNS})"
    return f"""
        select ms // 1000 as second, exchange, count(*) as trades, arg_min(price, ms) as open, max(price) as high,
               min(price) as low, arg_max(price, ms) as close, sum(size) as volume,
               sum(price * size) / sum(size) as vwap, avg(price) as mean, stddev_samp(price) as sd,
               {p99} as p99, {conditions} as conditions
        from {source} group by 1, 2"""


def duckdb_sums(table: str) -> str:
    # A lone value has no standard deviation: DuckDB says NULL, others 0 or NaN. All count as 0 here.
    columns = ["count(*)", *(f"sum({name})" for name in CHECKS[1:] if name != "sd")]
    columns.insert(CHECKS.index("sd"), "sum(case when isfinite(sd) then sd else 0 end)")
    return f"select {', '.join(f'({column})::double' for column in columns)} from {table}"


def duckdb_run(wanted: argparse.Namespace) -> Prepared:
    import duckdb

    connection = duckdb.connect(config={"threads": wanted.threads})
    query = duckdb_query(wanted.input, wanted.peer == "duckdb-exact")
    output = wanted.output

    def work() -> None:
        if output:
            connection.execute(f"copy ({query}) to '{output}' (format json)")
        else:
            connection.execute(f"create temp table result as {query}")

    def check() -> list[float]:
        row = None if output else connection.execute(duckdb_sums("result")).fetchone()
        return [float(value) for value in row] if row else []

    return work, check, str(duckdb.__version__)


def polars_run(wanted: argparse.Namespace) -> Prepared:
    os.environ["POLARS_MAX_THREADS"] = str(wanted.threads)
    import polars as pl

    path, output = wanted.input, wanted.output

    texts = ("exchange", "condition")
    types = {name: pl.String if name in texts else pl.Int64 for name in COLUMNS.split(",")}
    if path.suffix == ".csv":
        frame = pl.scan_csv(path, has_header=False, schema=types, quote_char=None)
    else:
        frame = pl.scan_ndjson(path, schema=types)
    price, size = pl.col("price"), pl.col("size")
    query = frame.group_by((pl.col("ms") // 1000).alias("second"), "exchange").agg(
        pl.len().alias("trades"),
        price.first().alias("open"),
        price.max().alias("high"),
        price.min().alias("low"),
        price.last().alias("close"),
        size.sum().alias("volume"),
        ((price * size).sum() / size.sum()).alias("vwap"),
        price.mean().alias("mean"),
        price.std().alias("sd"),
        price.quantile(0.99).alias("p99"),
        pl.col("condition").n_unique().alias("conditions"),
    )
    held: list[pl.DataFrame] = []

    def work() -> None:
        if output:
            query.sink_ndjson(output, engine="streaming")
        else:
            held.append(query.collect(engine="streaming"))

    def check() -> list[float]:
        sums = [float(frame[name].fill_null(0).cast(pl.Float64).sum()) for frame in held for name in CHECKS[1:]]
        return [float(held[0].height), *sums] if held else []

    return work, check, str(pl.__version__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["duckdb", "duckdb-exact", "polars"])
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    wanted = parser.parse_args()
    work, check, version = polars_run(wanted) if wanted.peer == "polars" else duckdb_run(wanted)
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    work()
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    taken = {"seconds": seconds, "cpu_s": used_s, "peak_bytes": status_bytes(os.getpid(), "VmHWM"), "version": version}
    print(json.dumps({**taken, "sums": check()}))


if __name__ == "__main__":
    main()
