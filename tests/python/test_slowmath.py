"""sidewinder.slowmath against answers worked out by hand or by the standard library: it is the oracle of fastmath."""

from __future__ import annotations

import inspect
import math
import random
import statistics
from array import array
from typing import Any

import pytest

from sidewinder import fastmath, slowmath

NAN, INF = math.nan, math.inf


def test_it_has_what_fastmath_has() -> None:
    assert set(fastmath.__all__) - set(slowmath.__all__) == {"Array", "Expression", "compile"}
    for name in set(slowmath.__all__) - {"Summary"}:
        slow = inspect.signature(getattr(slowmath, name)).parameters.values()
        fast = inspect.signature(getattr(fastmath, name)).parameters.values()
        assert [(p.name, p.default, p.kind) for p in slow] == [(p.name, p.default, p.kind) for p in fast], name


def test_numbers_come_in_any_form() -> None:
    rows = [[1.0, 2.0], [3.0, 4.0]]
    for x in (
        rows,
        tuple(map(tuple, rows)),
        fastmath.Array(rows),
        array("d", [1, 2, 3, 4]),
        iter([1, 2, 3, 4]),
        range(1, 5),
    ):
        assert slowmath.sum(x) == 10.0
    assert slowmath.sum(5) == 5.0
    with pytest.raises(TypeError, match="not str"):
        slowmath.sum("123")
    with pytest.raises(ValueError, match="different lengths"):
        slowmath.sum([[1], [2, 3]])
    for threads in (0, -1, 257):
        with pytest.raises(ValueError, match="threads must lie in"):
            slowmath.sum([1], threads=threads)


def test_reductions() -> None:
    rng = random.Random(1)
    x = [rng.gauss(3, 2) for _ in range(1001)]
    y = [2 * v + rng.gauss(0, 1) for v in x]
    assert slowmath.mean(x) == pytest.approx(statistics.mean(x))
    assert slowmath.var(x) == pytest.approx(statistics.pvariance(x))
    assert slowmath.std(x, ddof=1) == pytest.approx(statistics.stdev(x))
    assert slowmath.median(x) == statistics.median(x)
    assert slowmath.median(x[:-1]) == pytest.approx(statistics.median(x[:-1]))
    assert slowmath.corr(x, y) == pytest.approx(statistics.correlation(x, y))
    slope, intercept, r = slowmath.linear_regression(x, y)
    assert (slope, intercept) == pytest.approx(tuple(statistics.linear_regression(x, y)))
    assert r == pytest.approx(statistics.correlation(x, y))
    assert slowmath.norm(x) == pytest.approx(math.hypot(*x))
    assert slowmath.norm([3e200, 4e200]) == pytest.approx(5e200)
    assert slowmath.dot([1, 2, 3], [4, 5, 6]) == 32.0
    assert slowmath.minmax(x) == (min(x), max(x))
    assert slowmath.summary([3, 1, 2], ddof=1) == (3, 2.0, 1.0, 1.0, 1.0, 3.0)
    assert slowmath.minmax([1.0, NAN])[0] != slowmath.minmax([1.0, NAN])[1]


def test_quantiles() -> None:
    x = [7.0, 1.0, 5.0, 3.0]
    assert slowmath.quantile(x, [0, 0.25, 0.5, 1]) == [1.0, 2.5, 4.0, 7.0]
    assert slowmath.quantile(x, 0.75) == 5.5
    cuts = statistics.quantiles(range(101), n=10, method="inclusive")
    assert slowmath.quantile(range(101), [i / 10 for i in range(1, 10)]) == pytest.approx(cuts)
    assert math.isnan(slowmath.quantile([1, NAN], 0.5))


def test_histogram() -> None:
    assert slowmath.histogram([0, 1, 1, 2, 4], bins=4) == ([1, 2, 1, 1], [0.0, 1.0, 2.0, 3.0, 4.0])
    assert slowmath.histogram([-1, 0, 5, 10, 11, NAN], bins=2, range=(0, 10)) == ([1, 2], [0.0, 5.0, 10.0])
    assert slowmath.histogram([])[1] == pytest.approx([i / 10 for i in range(11)])
    assert slowmath.histogram([])[0] == [0] * 10
    assert slowmath.histogram([3, 3], bins=1) == ([2], [2.5, 3.5])
    with pytest.raises(ValueError, match="not finite"):
        slowmath.histogram([1, NAN])


def test_ewma() -> None:
    assert slowmath.ewma([1, 2, 3], 0.5) == [1.0, 1.5, 2.25]
    out = [0.0] * 3
    assert slowmath.ewma([1, 2, 3], 1, out=out) is out
    assert out == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2*3 - 4/8", 6.5),
        ("-2**2", -4.0),
        ("2**-1", 0.5),
        ("2**3**2", 512.0),
        ("(-7) // 2", -4.0),
        ("(-7) % 3", 2.0),
        ("7 % -3", -2.0),
        ("1 < 2", 1.0),
        ("(1 > 2) | (2 >= 2)", 1.0),
        ("(1 != 1) & (2 == 2)", 0.0),
        ("~(1 > 2)", 1.0),
        ("where(0, 1, 2) + where(3, 10, 20)", 12.0),
        ("1/0", INF),
        ("-1/0", -INF),
        ("exp(1000)", INF),
        ("log(0)", -INF),
        ("sqrt(9) + abs(-2) + pow(2, 3)", 13.0),
        ("floor(-1.5) + ceil(1.2)", 0.0),
        ("round(2.5) + round(3.5)", 6.0),
        ("sign(-3) + sign(0) + sign(9)", 0.0),
        ("minimum(1, 2) + maximum(3, 4)", 5.0),
        ("fma(2, 3, 4)", 10.0),
        ("log2(8) + log10(1000)", 6.0),
    ],
)
def test_expressions(expression: str, value: float) -> None:
    assert slowmath.evaluate(expression) == pytest.approx(value)


@pytest.mark.parametrize("expression", ["0/0", "log(-1)", "sqrt(-1)", "minimum(0/0, 1)", "(-8)**(1/3)", "1 % 0"])
def test_expressions_that_are_no_number(expression: str) -> None:
    assert math.isnan(slowmath.evaluate(expression))


def test_evaluate_broadcasts() -> None:
    column, row = [[1], [2]], [10, 20, 30]
    assert slowmath.evaluate("a*b + c", a=column, b=row, c=1) == [[11, 21, 31], [21, 41, 61]]
    assert slowmath.where([1, 0, NAN], 1, [7, 8, 9]) == [1, 8, 1]
    with pytest.raises(ValueError, match="broadcast"):
        slowmath.evaluate("a + b", {"a": [1, 2], "b": [1, 2, 3]})
    for wrong in ("a +", "import os", "a.b", "f(a)", "'x'", "[a]", "a if a else a", "lambda: 1", "exp(a, x=1)"):
        with pytest.raises(ValueError, match="is no expression"):
            slowmath.evaluate(wrong, {"a": 1, "f": 2, "x": 3})
    with pytest.raises(NameError, match="'b'"):
        slowmath.evaluate("a + b", a=1)
    with pytest.raises(TypeError, match="no name 'c'"):
        slowmath.evaluate("a", a=1, c=2)


def test_matmul() -> None:
    a, b = [[1, 2], [3, 4], [5, 6]], [[1, 0, 2], [0, 1, 3]]
    assert slowmath.matmul(a, b) == [[1, 2, 8], [3, 4, 18], [5, 6, 28]]
    assert slowmath.matmul([1, 2], b) == [1, 2, 8]
    assert slowmath.matmul(a, [1, 1]) == [3, 7, 11]
    assert slowmath.matmul([1, 2], [3, 4]) == 11
    out: list[Any] = [[0] * 3 for _ in range(3)]
    assert slowmath.matmul(a, b, out) is out
    assert out[2] == [5, 6, 28]
    with pytest.raises(ValueError, match=r"shapes \(3, 2\) and \(3, 2\) not aligned: 2 \(dim 1\) != 3 \(dim 0\)"):
        slowmath.matmul(a, a)


def test_diffuse() -> None:
    spike = [[0, 0, 0], [0, 10, 0], [0, 0, 0]]
    assert slowmath.diffuse(spike) == [[0, 1, 0], [1, 6, 1], [0, 1, 0]]
    assert slowmath.diffuse(spike, rate=0.2, periodic=False) == [[0, 0, 0], [0, 2, 0], [0, 0, 0]]
    assert slowmath.sum(slowmath.diffuse(spike, 7)) == pytest.approx(10)
    corner = [[10, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert slowmath.diffuse(corner) == [[6, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert slowmath.diffuse(spike, 0) == spike


def test_fractals() -> None:
    counts = slowmath.mandelbrot(4, 2, x=(-2.0, 2.0), y=(-1.0, 1.0), iterations=50)
    assert counts[1] == [50, 50, 50, 3]  # -2, -1, 0, 1
    assert slowmath.julia(0, 4, 1, x=(0.0, 4.0), y=(0.0, 1.0), iterations=9) == [[9, 9, 1, 0]]
    ship = slowmath.burning_ship(1, 1, x=(0.5, 1), y=(-0.5, 1), iterations=20)
    z, n = 0j, 0
    while n < 20 and abs(z) <= 2:
        z = complex(abs(z.real), abs(z.imag)) ** 2 + complex(0.5, -0.5)
        n += 1
    assert ship == [[n]]


@pytest.mark.parametrize("name", ["minmax", "median"])
def test_nothing_has_no_smallest(name: str) -> None:
    with pytest.raises(ValueError, match="of nothing"):
        getattr(slowmath, name)([])


def test_nothing() -> None:
    assert slowmath.sum([]) == slowmath.norm([]) == slowmath.dot([], []) == 0.0
    for value in (slowmath.mean([]), slowmath.var([]), slowmath.std([1], ddof=1), slowmath.corr([1], [2])):
        assert math.isnan(value)
    with pytest.raises(ValueError, match="at least 2 points"):
        slowmath.linear_regression([1], [2])
    with pytest.raises(ValueError, match="no slope"):
        slowmath.linear_regression([1, 1], [2, 3])
