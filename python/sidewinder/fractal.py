"""Fractals by plain Python and by NumPy in a pool of processes: what `sidewinder fractal --engine python` runs.

    python -m sidewinder.fractal --size 400x300 --workers 2 --engine python -o mandelbrot.png

The picture is cut into the same tiles that the C engine takes, and each point is iterated by the loop anybody would
write, so that the two can be compared point by point: the counts are the same, only the time is not. A tile is one task
of :class:`sidewinder.Pool` or of :class:`multiprocessing.pool.Pool`.

The escape time of a point is the number of the first iterate outside of the circle |z| <= 2, at most ``iterations``; its
fraction is n + 1 - log2(log2 |z|) for the first |z| > 16 (Peitgen and Richter, The Beauty of Fractals, 1986).
"""

from __future__ import annotations

import argparse
import array
import functools
import importlib
import json
import math
import multiprocessing
import os
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

__all__ = ["Result", "Tile", "TileResult", "View", "numpy_tile", "python_tile", "render"]

HEIGHT = 3.0  # of the picture at zoom 1
TILE_WIDTH, TILE_HEIGHT, TILE_LEAST = 256, 32, 16
TILE_WORK = 1 << 31  # iterations of a tile, at most
LIMIT, SMOOTH_LIMIT, SMOOTH_EXTRA = 4.0, 256.0, 64
KINDS = {"mandelbrot": ("-0.7", "0"), "julia": ("0", "0"), "burning-ship": ("-0.45", "-0.5")}
POOLS = ("sidewinder", "multiprocessing")


class Tile(NamedTuple):
    """A rectangle of points: ``height`` rows of ``width``."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class View:
    """What a picture shows; the same geometry as that of the command."""

    width: int = 400
    height: int = 300
    kind: str = "mandelbrot"
    center_re: float = -0.7
    center_im: float = 0.0
    zoom: float = 1.0
    iterations: int = 1000
    julia_re: float = -0.8
    julia_im: float = 0.156
    supersample: int = 1
    is_smooth: bool = True

    @property
    def columns(self) -> int:
        """Points in a row."""
        return self.width * self.supersample

    @property
    def rows(self) -> int:
        return self.height * self.supersample

    def grid(self) -> tuple[float, float, float, float]:
        """The first point and the steps to the next: re, im, re_step, im_step. The same operations as in C."""
        step = HEIGHT / self.zoom / (float(self.height) * self.supersample)
        down = step if self.kind == "burning-ship" else -step
        re = -step * (float(self.width) * self.supersample - 1) / 2 + self.center_re
        im = -down * (float(self.height) * self.supersample - 1) / 2 + self.center_im
        return re, im, step, down

    def tiles(self) -> list[Tile]:
        samples, points = self.supersample, TILE_WORK // self.iterations
        most = max(TILE_HEIGHT // samples, 1)
        wide = min(max(points, TILE_LEAST), TILE_WIDTH)
        width, height = wide // samples * samples, min(max(points // wide // samples, 1), most) * samples
        return [
            Tile(x, y, min(width, self.columns - x), min(height, self.rows - y))
            for y in range(0, self.rows, height)
            for x in range(0, self.columns, width)
        ]


@dataclass
class TileResult:
    """A tile that is done: ``values`` are float32, the escape time of each point in rows, -1 inside the set."""

    tile: Tile
    values: bytes
    iterations: int
    pid: int
    busy_ns: int
    cpu_ns: int


@dataclass
class Result:
    """A picture that is done. Times in nanoseconds: starting the pool, and all tiles."""

    pool: str
    values: bytearray
    iterations: int = 0
    start_ns: int = 0
    tiles_ns: int = 0
    workers: dict[int, dict[str, int]] = field(default_factory=dict)


def escape(x: float, y: float, re: float, im: float, iterations: int) -> int:
    """The escape time of z = z^2 + c from z = x + iy with c = re + i im."""
    count = 0
    while count < iterations and x * x + y * y <= LIMIT:
        x, y = x * x - y * y + re, (x + x) * y + im
        count += 1
    return count


def escape_smooth(x: float, y: float, re: float, im: float, iterations: int) -> tuple[int, float]:
    """The escape time and the same with its fraction; -1.0 inside."""
    count = 0
    while count < iterations and x * x + y * y <= LIMIT:
        x, y = x * x - y * y + re, (x + x) * y + im
        count += 1
    if count == iterations:
        return count, -1.0
    for extra in range(SMOOTH_EXTRA):
        norm = x * x + y * y
        if not norm <= SMOOTH_LIMIT:
            return count, max(count + extra + 1 - math.log2(math.log2(min(norm, 1e300)) / 2), 0.0)
        x, y = x * x - y * y + re, (x + x) * y + im
    return count, float(count)


def ship_smooth(x: float, y: float, re: float, im: float, iterations: int) -> tuple[int, float]:
    """As escape_smooth, for z = (|x| + i|y|)^2 + c."""
    count = 0
    while count < iterations and x * x + y * y <= LIMIT:
        x, y = x * x - y * y + re, abs(x + x) * abs(y) + im
        count += 1
    if count == iterations:
        return count, -1.0
    for extra in range(SMOOTH_EXTRA):
        norm = x * x + y * y
        if not norm <= SMOOTH_LIMIT:
            return count, max(count + extra + 1 - math.log2(math.log2(min(norm, 1e300)) / 2), 0.0)
        x, y = x * x - y * y + re, abs(x + x) * abs(y) + im
    return count, float(count)


def python_tile(view: View, tile: Tile) -> TileResult:
    """One tile, point by point."""
    start_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
    first_re, first_im, re_step, im_step = view.grid()
    point = ship_smooth if view.kind == "burning-ship" else escape_smooth
    is_julia = view.kind == "julia"
    values = array.array("f")
    total = 0
    for row in range(tile.y, tile.y + tile.height):
        im = first_im + row * im_step
        for column in range(tile.x, tile.x + tile.width):
            re = first_re + column * re_step
            c = (view.julia_re, view.julia_im) if is_julia else (re, im)
            start = (re, im) if is_julia else (0.0, 0.0)
            if view.is_smooth or view.kind == "burning-ship":
                count, value = point(*start, *c, view.iterations)
            else:
                count = escape(*start, *c, view.iterations)
                value = -1.0 if count == view.iterations else float(count)
            total += count
            values.append(value if view.is_smooth or value < 0 else float(count))
    return TileResult(
        tile,
        values.tobytes(),
        total,
        os.getpid(),
        time.monotonic_ns() - start_ns,
        time.process_time_ns() - cpu_ns,
    )


def numpy_smooth(np: Any, view: View, state: tuple[Any, ...]) -> Any:
    """The fractions of points that left: state is their x, y, re, im and counts."""
    x, y, re, im, counts = state
    values = counts.astype(np.float64)
    todo = np.arange(x.size)
    for extra in range(SMOOTH_EXTRA):
        norm = x * x + y * y
        is_far = ~(norm <= SMOOTH_LIMIT)
        size = np.log2(np.minimum(norm[is_far], 1e300)) / 2
        values[todo[is_far]] = np.maximum(counts[is_far] + extra + 1 - np.log2(size), 0)
        left = ~is_far
        x, y, re, im, counts, todo = x[left], y[left], re[left], im[left], counts[left], todo[left]
        if todo.size == 0:
            break
        if view.kind == "burning-ship":
            x, y = x * x - y * y + re, np.abs(x + x) * np.abs(y) + im
        else:
            x, y = x * x - y * y + re, (x + x) * y + im
    return values


def numpy_tile(view: View, tile: Tile) -> TileResult:
    """One tile, all its points at once; those that have left are taken out."""
    np: Any = importlib.import_module("numpy")
    start_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
    first_re, first_im, re_step, im_step = view.grid()
    columns = first_re + np.arange(tile.x, tile.x + tile.width) * re_step
    rows = first_im + np.arange(tile.y, tile.y + tile.height) * im_step
    x, y = (part.ravel() for part in np.meshgrid(columns, rows))
    re, im = x, y
    if view.kind == "julia":
        re, im = np.full_like(x, view.julia_re), np.full_like(x, view.julia_im)
    else:
        x, y = np.zeros_like(x), np.zeros_like(x)
    counts = np.full(x.size, view.iterations)
    values = np.full(x.size, -1.0)
    places = np.arange(x.size)
    is_ship = view.kind == "burning-ship"
    with np.errstate(all="ignore"):
        for count in range(view.iterations):
            xx, yy = x * x, y * y
            stays = xx + yy <= LIMIT
            if not stays.all():
                gone = ~stays
                counts[places[gone]] = count
                values[places[gone]] = count
                if view.is_smooth:
                    left = (x[gone], y[gone], re[gone], im[gone], counts[places[gone]])
                    values[places[gone]] = numpy_smooth(np, view, left)
                x, y, re, im, places = x[stays], y[stays], re[stays], im[stays], places[stays]
                xx, yy = xx[stays], yy[stays]
                if places.size == 0:
                    break
            y = np.abs(x + x) * np.abs(y) + im if is_ship else (x + x) * y + im
            x = xx - yy + re
    return TileResult(
        tile,
        values.astype(np.float32).tobytes(),
        int(counts.sum()),
        os.getpid(),
        time.monotonic_ns() - start_ns,
        time.process_time_ns() - cpu_ns,
    )


ENGINES: dict[str, Callable[[View, Tile], TileResult]] = {"python": python_tile, "numpy": numpy_tile}


def idle(_: int) -> int:
    """A task that does nothing: when as many as there are workers are back, the pool is up."""
    return os.getpid()


def pool_class(name: str) -> Any:
    """The class of the pool; ValueError when the package has no such pool."""
    if name == "multiprocessing":
        return multiprocessing.Pool
    found = getattr(importlib.import_module("sidewinder"), "Pool", None)
    if found is None:
        raise ValueError("this sidewinder package has no Pool; use --pool multiprocessing")
    return found


@contextmanager
def opened(pool: str, workers: int) -> Iterator[Any]:
    with pool_class(pool)(workers) as running:
        yield running


def tile_keep(view: View, result: TileResult, values: bytearray) -> None:
    """Puts the rows of a tile where they belong."""
    size = result.tile.width * 4
    for row in range(result.tile.height):
        at = ((result.tile.y + row) * view.columns + result.tile.x) * 4
        values[at : at + size] = result.values[row * size : (row + 1) * size]


def render(
    view: View,
    engine: str = "python",
    pool: str = "multiprocessing",
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Result:
    """Computes the picture, tile by tile, in a pool of ``workers`` processes.

    ``engine`` is "python" or "numpy", ``pool`` "sidewinder" or "multiprocessing"; ``progress`` is called with the share
    that is done. The result's ``values`` are view.rows * view.columns float32 in rows.
    """
    tiles = view.tiles()
    result = Result(pool, bytearray(view.rows * view.columns * 4))
    start_ns = time.monotonic_ns()
    with opened(pool, workers) as running:
        list(running.map(idle, range(workers)))
        up_ns = time.monotonic_ns()
        task = functools.partial(ENGINES[engine], view)
        for done, tile in enumerate(running.imap_unordered(task, tiles, chunksize=1), start=1):
            tile_keep(view, tile, result.values)
            result.iterations += tile.iterations
            worker = result.workers.setdefault(
                tile.pid, {"tiles": 0, "pixels": 0, "iterations": 0, "busy_ns": 0, "cpu_ns": 0}
            )
            worker["tiles"] += 1
            worker["pixels"] += tile.tile.width * tile.tile.height // view.supersample**2
            worker["iterations"] += tile.iterations
            worker["busy_ns"] += tile.busy_ns
            worker["cpu_ns"] += tile.cpu_ns
            if progress:
                progress(done / len(tiles))
        result.tiles_ns = time.monotonic_ns() - up_ns
    result.start_ns = up_ns - start_ns
    return result


def fastest(view: View, options: argparse.Namespace, pool: str) -> Result:
    """The fastest of the rounds."""
    best: Result | None = None
    last_ns = 0
    for number in range(options.rounds):

        def progress(share: float, done: int = number) -> None:
            nonlocal last_ns
            if options.json and time.monotonic_ns() - last_ns > 200_000_000:
                last_ns = time.monotonic_ns()
                print(json.dumps({"progress": (done + share) / options.rounds}), flush=True)

        result = render(view, options.engine, pool, options.workers, progress)
        if best is None or result.start_ns + result.tiles_ns < best.start_ns + best.tiles_ns:
            best = result
    assert best is not None
    return best


def color(value: float) -> tuple[int, int, int]:
    """Blue to white to gold and back, by the square root of the escape time; black inside."""
    if value < 0:
        return 0, 0, 0
    turn = math.sqrt(value) / 9
    red, green, blue = (0.5 - 0.5 * math.cos(2 * math.pi * (turn + shift)) for shift in (0.05, 0.1, 0.22))
    return int(255 * red), int(255 * green), int(255 * blue)


def png_write(file: IO[bytes], view: View, values: bytearray) -> None:
    """An RGB picture; of several points in a pixel the mean."""
    points = memoryview(values).cast("f")
    samples = view.supersample
    rows = bytearray()
    for y in range(view.height):
        rows.append(0)
        for x in range(view.width):
            colors = [
                color(points[(y * samples + j) * view.columns + x * samples + i])
                for j in range(samples)
                for i in range(samples)
            ]
            rows += bytes(sum(channel) // len(colors) for channel in zip(*colors, strict=True))
    head = struct.pack(">IIBBBBB", view.width, view.height, 8, 2, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    for name, body in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b"")):
        file.write(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)))


def pair(text: str) -> tuple[float, float]:
    re, im = text.split(",")
    return float(re), float(im)


def size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    if int(width) < 1 or int(height) < 1:
        raise ValueError(text)
    return int(width), int(height)


def positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def magnification(text: str) -> float:
    if not 0 < float(text) < math.inf:
        raise ValueError(text)
    return float(text)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m sidewinder.fractal", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--engine", choices=sorted(ENGINES), default="python")
    made.add_argument("--pool", choices=POOLS, help="sidewinder unless the package has none")
    made.add_argument("--size", type=size, default=(400, 300), metavar="WxH")
    made.add_argument("--workers", type=positive, default=os.cpu_count() or 1, metavar="N", help="processes")
    made.add_argument("--kind", choices=sorted(KINDS), default="mandelbrot")
    made.add_argument("--julia", type=pair, metavar="RE,IM", help="the constant of a Julia set; implies --kind julia")
    made.add_argument("--center", type=pair, metavar="RE,IM")
    made.add_argument("--zoom", type=magnification, default=1.0, metavar="N", help="the picture is 3 / N high")
    made.add_argument("--iterations", type=positive, default=1000, metavar="N")
    made.add_argument("--supersample", type=positive, default=1, metavar="N")
    made.add_argument("--no-smooth", action="store_true", help="one colour for each number of iterations")
    made.add_argument("--rounds", type=positive, default=1, metavar="N", help="the fastest counts")
    made.add_argument("--json", action="store_true", help="one object a line: progress, then the result")
    made.add_argument("--values", metavar="FILE", help="write the escape times as float32, -1 inside")
    made.add_argument("-o", "--output", metavar="FILE", help="write a PNG")
    return made


def view_of(options: argparse.Namespace) -> View:
    kind = "julia" if options.julia else options.kind
    re, im = options.center or tuple(map(float, KINDS[kind]))
    julia_re, julia_im = options.julia or (View.julia_re, View.julia_im)
    return View(
        width=options.size[0],
        height=options.size[1],
        kind=kind,
        center_re=re,
        center_im=im,
        zoom=options.zoom,
        iterations=options.iterations,
        julia_re=julia_re,
        julia_im=julia_im,
        supersample=options.supersample,
        is_smooth=not options.no_smooth,
    )


def pool_choose(asked: str | None) -> str:
    if asked:
        pool_class(asked)
        return asked
    try:
        pool_class("sidewinder")
    except ValueError:
        return "multiprocessing"
    return "sidewinder"


def report(view: View, options: argparse.Namespace, result: Result) -> None:
    workers = sorted(result.workers.values(), key=lambda worker: -worker["busy_ns"])
    if options.json:
        print(
            json.dumps(
                {
                    "pool": result.pool,
                    "rounds": options.rounds,
                    "start_ns": result.start_ns,
                    "tiles_ns": result.tiles_ns,
                    "iterations": result.iterations,
                    "per_worker": workers,
                }
            )
        )
        return
    seconds = (result.start_ns + result.tiles_ns) / 1e9
    print(
        f"{view.width} x {view.height} pixels by {options.engine} in {result.pool}.Pool of {options.workers}: "
        f"{seconds:.3f} s ({result.start_ns / 1e6:.1f} ms to start), "
        f"{view.width * view.height / seconds:,.0f} pixels/s, {result.iterations / seconds:,.0f} iterations/s"
    )
    for number, worker in enumerate(workers, start=1):
        print(f"  worker {number}: {worker['tiles']} tiles, busy {worker['busy_ns'] / max(result.tiles_ns, 1):.1%}")


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        pool = pool_choose(options.pool)
        if options.engine == "numpy":
            importlib.import_module("numpy")
        view = view_of(options)
        result = fastest(view, options, pool)
        for name, write in ((options.values, False), (options.output, True)):
            if name:
                with open(name, "wb") as file:
                    if write:
                        png_write(file, view, result.values)
                    else:
                        file.write(result.values)
    except (OSError, ValueError) as error:
        print(f"sidewinder.fractal: {error}", file=sys.stderr)
        return 1
    except ImportError:
        print(
            f"sidewinder.fractal: {sys.executable} has no NumPy; install it there (pip install numpy)", file=sys.stderr
        )
        return 1
    report(view, options, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
