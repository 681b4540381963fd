"""fastmath - Elementwise functions and statistics beside NumPy, numexpr and bottleneck, in one process.

    elementwise    a*b + c, a cubic, exp, log, cross entropy, length of a vector, where; all write into an array that is there
    one pass       sum, mean, var, norm, minmax, dot, corr, linear regression; mean, var, min and max in one call
    other          median, seven quantiles, a histogram of 100 bins: not part of the geometric mean

For arrays of 1e3, 1e5 and 2e7 elements, float64 and float32, on one and two threads. Ours and the peers run in turn in every
round; a figure is the least of all rounds, in ns an element, a ratio is that of the fastest peer over ours. numexpr and
NumPy's BLAS (dot, norm, corr) run on as many threads as ours, all else of NumPy on one.
Results are compared. The bars: the geometric mean of elementwise and one pass >= 2.5, var and the four together >= 4, a call
that gives a number for a number <= 50 ns, a call with a buffer <= 120 ns. The peers come from the `bench` group of
pyproject.toml.
"""

from __future__ import annotations

import argparse
import math
import os
import time
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEAN_BAR, VARIANCE_BAR = 2.5, 4.0
NUMBER_BAR_NS, BUFFER_BAR_NS = 50.0, 120.0
ROUND_SECONDS = 0.01  # a round of a small array repeats until about then
SHARES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]

Run = Callable[[], Any]


@dataclass
class Row:
    """One thing to compute."""

    name: str
    kind: str
    ours: Run
    peers: dict[str, Run]
    seconds: dict[str, float] = field(default_factory=dict)

    def runs(self) -> dict[str, Run]:
        return {"ours": self.ours, **self.peers}

    def peer(self) -> str:
        return min(self.peers, key=lambda name: self.seconds[name])

    def ratio(self) -> float:
        return self.seconds[self.peer()] / self.seconds["ours"]


def once(run: Run, repeats: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - begin) / repeats


def measure(row: Row, rounds: int) -> None:
    repeats = {name: max(1, int(ROUND_SECONDS / once(run, 1))) for name, run in row.runs().items()}
    for _ in range(rounds):
        for name, run in row.runs().items():
            row.seconds[name] = min(once(run, repeats[name]), row.seconds.get(name, math.inf))


def check(row: Row, single: bool) -> None:
    """Ours gives what NumPy gives. Another peer that does not is left out: numexpr and bottleneck add float32 up in
    float32, one after the other, and after some millions of elements have lost the result."""
    import numpy as np

    tolerance = 1e-4 if single else 1e-7
    ours, *others = [(name, np.asarray(run(), dtype=np.float64).copy()) for name, run in row.runs().items()]
    for name, result in others:
        if np.allclose(result, ours[1], rtol=tolerance, atol=tolerance):
            continue
        if name == "numpy":
            raise SystemExit(f"{row.name}: {name} gives {result}, ours {ours[1]}")
        print(f"  {row.name}: {name} gives {result}, not {ours[1]}: left out")
        del row.peers[name]


class Data:
    """The operands, and the arrays that results are written to."""

    def __init__(self, count: int, dtype: str) -> None:
        import numpy as np

        rng = np.random.default_rng(1)
        self.count, self.dtype = count, dtype
        self.a: Any = rng.uniform(0.05, 0.95, count).astype(dtype)
        self.b: Any = rng.uniform(0.05, 0.95, count).astype(dtype)
        self.c: Any = rng.uniform(0.05, 0.95, count).astype(dtype)
        self.x: Any = rng.normal(size=count).astype(dtype)
        self.y: Any = (0.5 * self.x + rng.normal(size=count)).astype(dtype)
        self.out: Any = np.empty(count, dtype)
        self.out2: Any = np.empty(count, dtype)


def numpy_elementwise(d: Data) -> dict[str, Run]:
    import numpy as np

    a, b, c, out, temporary = d.a, d.b, d.c, d.out, d.out2

    def multiply_add() -> Any:
        np.multiply(a, b, out=out)
        return np.add(out, c, out=out)

    def cubic() -> Any:
        np.multiply(a, 0.25, out=out)
        np.add(out, 0.75, out=out)
        np.multiply(out, a, out=out)
        np.add(out, 1.5, out=out)
        np.multiply(out, a, out=out)
        return np.add(out, 2.0, out=out)

    def entropy() -> Any:
        np.log(b, out=out)
        np.multiply(a, out, out=out)
        np.subtract(1, b, out=temporary)
        np.log(temporary, out=temporary)
        np.multiply(1 - a, temporary, out=temporary)
        np.add(out, temporary, out=out)
        return np.negative(out, out=out)

    def length() -> Any:
        np.multiply(a, a, out=out)
        np.multiply(b, b, out=temporary)
        np.add(out, temporary, out=out)
        np.multiply(c, c, out=temporary)
        np.add(out, temporary, out=out)
        return np.sqrt(out, out=out)

    return {
        "a*b + c": multiply_add,
        "cubic": cubic,
        "exp": lambda: np.exp(a, out=out),
        "log": lambda: np.log(a, out=out),
        "entropy": entropy,
        "length": length,
        "where": lambda: np.where(a > b, a, c),
    }


EXPRESSIONS = {
    "a*b + c": "a*b + c",
    "cubic": "((0.25*a + 0.75)*a + 1.5)*a + 2.0",
    "exp": "exp(a)",
    "log": "log(a)",
    "entropy": "-(a*log(b) + (1 - a)*log(1 - b))",
    "length": "sqrt(a*a + b*b + c*c)",
    "where": "where(a > b, a, c)",
}


def elementwise(d: Data, threads: int) -> list[Row]:
    import numexpr

    from sidewinder import fastmath

    plain = numpy_elementwise(d)
    rows = []
    for name, text in EXPRESSIONS.items():
        compiled = fastmath.compile(text)
        operands = {letter: getattr(d, letter) for letter in compiled.names}

        def ours(compiled: Any = compiled, operands: dict[str, Any] = operands) -> Any:
            return compiled(out=d.out, threads=threads, **operands)

        def peer(text: str = text, operands: dict[str, Any] = operands) -> Any:
            return numexpr.evaluate(text, local_dict=operands, global_dict={}, out=d.out, casting="same_kind")

        rows.append(Row(name, "elementwise", ours, {"numpy": plain[name], "numexpr": peer}))
    rows[2].ours = lambda: fastmath.exp(d.a, d.out, threads=threads)
    rows[3].ours = lambda: fastmath.log(d.a, d.out, threads=threads)
    return rows


def one_pass(d: Data, threads: int) -> list[Row]:
    import bottleneck as bn
    import numpy as np

    from sidewinder import fastmath as fm

    x, y, t = d.x, d.y, {"threads": threads}

    def fit() -> Any:
        dx, dy = x - x.mean(), y - y.mean()
        slope = dx.dot(dy) / dx.dot(dx)
        return slope, y.mean() - slope * x.mean()

    def four() -> Any:
        summary = fm.summary(x, **t)
        return summary.mean, summary.var, summary.min, summary.max

    rows: dict[str, tuple[Run, dict[str, Run]]] = {
        "sum": (lambda: fm.sum(x, **t), {"numpy": x.sum, "bottleneck": lambda: bn.nansum(x)}),
        "mean": (lambda: fm.mean(x, **t), {"numpy": x.mean, "bottleneck": lambda: bn.nanmean(x)}),
        "var": (lambda: fm.var(x, **t), {"numpy": x.var, "bottleneck": lambda: bn.nanvar(x)}),
        "norm": (lambda: fm.norm(x, **t), {"numpy": lambda: np.linalg.norm(x)}),
        "minmax": (
            lambda: fm.minmax(x, **t),
            {"numpy": lambda: (x.min(), x.max()), "bottleneck": lambda: (bn.nanmin(x), bn.nanmax(x))},
        ),
        "dot": (lambda: fm.dot(x, y, **t), {"numpy": lambda: x.dot(y)}),
        "corr": (lambda: fm.corr(x, y, **t), {"numpy": lambda: np.corrcoef(x, y)[0, 1]}),
        "regression": (lambda: fm.linear_regression(x, y, **t)[:2], {"numpy": fit}),
        "the four": (
            four,
            {
                "numpy": lambda: (x.mean(), x.var(), x.min(), x.max()),
                "bottleneck": lambda: (bn.nanmean(x), bn.nanvar(x), bn.nanmin(x), bn.nanmax(x)),
            },
        ),
    }
    return [Row(name, "one pass", ours, peers) for name, (ours, peers) in rows.items()]


def other(d: Data, threads: int) -> list[Row]:
    import bottleneck as bn
    import numpy as np

    from sidewinder import fastmath as fm

    x, t = d.x, {"threads": threads}
    return [
        Row(
            "median",
            "other",
            lambda: fm.median(x, **t),
            {"numpy": lambda: np.median(x), "bottleneck": lambda: bn.median(x)},
        ),
        Row("quantiles", "other", lambda: fm.quantile(x, SHARES, **t), {"numpy": lambda: np.quantile(x, SHARES)}),
        Row(
            "histogram",
            "other",
            lambda: fm.histogram(x, 100, (-4.0, 4.0), **t)[0],
            {"numpy": lambda: np.histogram(x, 100, (-4.0, 4.0))[0]},
        ),
    ]


def blas_threads(count: int) -> None:
    """NumPy has no function for it; its OpenBLAS does."""
    import ctypes

    import numpy as np

    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for library in folder.glob("libscipy_openblas64_*"):
        ctypes.CDLL(str(library)).scipy_openblas_set_num_threads64_(count)


def geometric_mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def verdict(value: float, bar: float) -> str:
    return f"{value:.2f} of {bar}: {'reached' if value >= bar else 'MISSED'}"


def table(d: Data, threads: int, rounds: int) -> list[Row]:
    import numexpr

    numexpr.set_num_threads(threads)
    blas_threads(threads)
    rows = elementwise(d, threads) + one_pass(d, threads) + other(d, threads)
    print(f"\n{d.count:,} of {d.dtype}, {threads} threads: ns an element", flush=True)
    for row in rows:
        check(row, d.dtype == "float32")
        measure(row, rounds)
        peers = "  ".join(f"{name} {row.seconds[name] / d.count * 1e9:8.4f}" for name in row.peers)
        print(
            f"  {row.name:11} ours {row.seconds['ours'] / d.count * 1e9:8.4f}  {peers}  {row.ratio():7.2f} x",
            flush=True,
        )
    judged = [row.ratio() for row in rows if row.kind != "other"]
    print(f"  geometric mean {verdict(geometric_mean(judged), MEAN_BAR)}")
    return rows


def call_ns(run: Run, rounds: int) -> float:
    """Of a call, without that of the empty function around it."""
    number = 100_000
    empty = min(timeit.repeat(lambda: None, number=number, repeat=rounds))
    return (min(timeit.repeat(run, number=number, repeat=rounds)) - empty) / number * 1e9


def calls(rounds: int) -> bool:
    import array

    import numpy as np

    from sidewinder import fastmath as fm

    ours, buffer = fm.Array([0.5] * 8), array.array("d", [0.5] * 8)
    theirs: Any = np.full(8, 0.5)
    out: Any = np.empty(8)
    exp, total = fm.exp, fm.sum
    rows: list[tuple[str, float, Run, Run]] = [
        ("exp(float)", NUMBER_BAR_NS, lambda: exp(0.5), lambda: np.exp(0.5)),
        ("sum(Array of 8)", BUFFER_BAR_NS, lambda: total(ours), lambda: theirs.sum()),
        ("sum(array of 8)", BUFFER_BAR_NS, lambda: total(buffer), lambda: theirs.sum()),
        ("sum(ndarray of 8)", BUFFER_BAR_NS, lambda: total(theirs), lambda: theirs.sum()),
        ("exp(ndarray, out=)", math.inf, lambda: exp(theirs, out), lambda: np.exp(theirs, out)),
    ]
    print("\nns a call")
    are_reached = True
    for name, bar, run, peer in rows:
        ns, peer_ns = call_ns(run, rounds), call_ns(peer, rounds)
        are_reached = are_reached and ns <= bar
        judged = f"  of {bar:.0f}: {'reached' if ns <= bar else 'MISSED'}" if bar < math.inf else ""
        print(f"  {name:18} {ns:7.1f}  numpy {peer_ns:7.1f}{judged}")
    return are_reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--counts", type=float, nargs="+", default=[1e3, 1e5, 2e7], help="elements (default 1e3 1e5 2e7)"
    )
    parser.add_argument("--dtypes", nargs="+", choices=["float64", "float32"], default=["float64", "float32"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument("--rounds", type=int, default=7, help="default 7")
    arguments = parser.parse_args()
    for name in ("OPENBLAS_NUM_THREADS", "NUMEXPR_MAX_THREADS"):
        os.environ[name] = str(max(arguments.threads))  # before they are imported
    ratios: dict[str, list[float]] = {}
    for count in arguments.counts:
        for dtype in arguments.dtypes:
            data = Data(int(count), dtype)
            for threads in arguments.threads:
                for row in table(data, threads, arguments.rounds):
                    for key in (row.kind, row.name):
                        ratios.setdefault(key, []).append(row.ratio())
    are_calls_fast = calls(arguments.rounds)
    print("\ngeometric means over all tables")
    for key, values in ratios.items():
        print(f"  {key:11} {geometric_mean(values):7.2f} x")
    judged = geometric_mean(ratios["elementwise"] + ratios["one pass"])
    variance, four = geometric_mean(ratios["var"]), geometric_mean(ratios["the four"])
    print(f"elementwise and one pass {verdict(judged, MEAN_BAR)}")
    print(f"variance {verdict(variance, VARIANCE_BAR)}")
    print(f"mean, variance, min and max {verdict(four, VARIANCE_BAR)}")
    is_fast = judged >= MEAN_BAR and min(variance, four) >= VARIANCE_BAR
    return 0 if is_fast and are_calls_fast else 1


if __name__ == "__main__":
    raise SystemExit(main())
