"""engine_data - The inputs of bench/engine.py: recorded ticks made long, or, without them, rows of the same shape."""

from __future__ import annotations

import os
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DAY_MS = 86_400_000
FAN_OUT = 24
COLUMNS = "ms,price,size,exchange,condition,suspicious"
BLOCK_BYTES = 16 << 20

# Of the six recordings: rows, first and last millisecond, the price's order of magnitude.
SHAPES = [
    (25351, 14400688, 71997520, 490_000),
    (43342, 27596477, 71915958, 488_000),
    (88172, 14400614, 71993464, 139_400),
    (125872, 21548450, 71993231, 138_000),
    (24293, 14430270, 69967550, 1_818_000),
    (33381, 31669457, 69836822, 1_821_000),
]
EXCHANGES = ["P", "Q", "D", "N", "K", "Z", "B", "T", "J", "X", "Y", "A", "M"]
CONDITIONS = [("1", 62), ("20000020", 33), ("20", 4), ("2000", 1), ("20002020", 1), ("20100200", 1)]

# A row is its millisecond and the rest of its line, without the comma between and the line's end.
Row = tuple[int, bytes]


@dataclass
class Input:
    """One file, and what it is."""

    name: str
    format: str
    path: Path
    rows: int

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


def recordings_find() -> list[Path]:
    """The trade files below $SIDEWINDER_DATA, else ../shared/data beside the repository."""
    root = Path(__file__).resolve().parent.parent
    data = Path(os.environ.get("SIDEWINDER_DATA", root.parent / "shared" / "data"))
    return sorted((data / "ticks").glob("*_trade.zip"))


def recording_read(path: Path) -> list[Row]:
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0])
    lines = (line.strip().split(b",", 1) for line in text.splitlines() if line.strip())
    return [(int(time), rest) for time, rest in lines]


def recording_invent(shape: tuple[int, int, int, int], seed: int) -> list[Row]:
    """A day of trades that come in bursts, about three to a second and exchange."""
    count, first_ms, last_ms, price = shape
    dice = random.Random(seed)
    rows: list[Row] = []
    while len(rows) < count:
        second = dice.randrange(first_ms // 1000, last_ms // 1000)
        exchange = dice.choice(EXCHANGES)
        for _ in range(min(1 + int(dice.expovariate(0.45)), count - len(rows))):
            price = max(100, price + 100 * dice.choice([-1, 0, 0, 1]))
            size = dice.choice([100, 100, 100, 200, 300, 500, dice.randrange(1, 5000)])
            condition = dice.choices([name for name, _ in CONDITIONS], [weight for _, weight in CONDITIONS])[0]
            rows.append((second * 1000 + dice.randrange(1000), f"{price},{size},{exchange},{condition},0".encode()))
    return sorted(rows, key=lambda row: row[0])


def days_load(seed: int) -> tuple[list[list[Row]], str]:
    """The six recordings, and a sentence on where they come from."""
    paths = recordings_find()
    if paths:
        return [recording_read(path) for path in paths], f"{len(paths)} recorded trade files of {paths[0].parent}"
    days = [recording_invent(shape, seed + i) for i, shape in enumerate(SHAPES)]
    return days, f"INVENTED rows of the recordings' shape, seed {seed} (no recordings found; set SIDEWINDER_DATA)"


def csv_rest(rest: bytes) -> bytes:
    return b"," + rest + b"\n"


def jsonl_rest(rest: bytes) -> bytes:
    price, size, exchange, condition, suspicious = rest.split(b",")
    return b',"price":%s,"size":%s,"exchange":"%s","condition":"%s","suspicious":%s}\n' % (
        price,
        size,
        exchange,
        condition,
        suspicious,
    )


def lines(days: list[list[Row]], format_name: str, copies: int) -> Iterator[bytes]:
    """Day after day without end, each row `copies` times."""
    head = b"%d%s" if format_name == "csv" else b'{"ms":%d%s'
    rest = csv_rest if format_name == "csv" else jsonl_rest
    prepared = [[(ms, rest(text)) for ms, text in day] for day in days]
    offset_ms = 0
    while True:
        for day in prepared:
            for ms, text in day:
                yield head % (ms + offset_ms, text) * copies
            offset_ms += DAY_MS


def input_write(path: Path, days: list[list[Row]], rows: int, copies: int) -> int:
    """Writes at least `rows` rows; returns how many."""
    source = lines(days, "csv" if path.suffix == ".csv" else "jsonl", copies)
    written = 0
    with open(path, "wb", buffering=BLOCK_BYTES) as out:
        while written < rows:
            out.write(next(source))
            written += copies
    return written


def inputs_prepare(folder: Path, wanted: list[str], counts: dict[str, int], seed: int) -> tuple[list[Input], str]:
    """Writes what is wanted of recorded.csv, dense.csv, recorded.jsonl and dense.jsonl; `counts`: rows by format."""
    days, origin = days_load(seed)
    merged = [sorted((row for day in days for row in day), key=lambda row: row[0])]
    inputs = []
    for name in wanted:
        path = folder / name
        is_dense = path.stem == "dense"
        rows = input_write(path, merged if is_dense else days, counts[path.suffix[1:]], FAN_OUT if is_dense else 1)
        inputs.append(Input(path.stem, path.suffix[1:], path, rows))
    return inputs, origin


def cache_fill(path: Path) -> None:
    """Reads a file once, so that the page cache holds it."""
    with open(path, "rb", buffering=0) as file:
        while file.read(BLOCK_BYTES):
            pass
