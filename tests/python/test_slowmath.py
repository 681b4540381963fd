"""sidewinder.slowmath against answers worked out by hand or by the standard library: it is the oracle of fastmath."""

from __future__ import annotations

import inspect
import math
import pickle
import random
import statistics
from array import array
from typing import Any

import pytest

from sidewinder import fastmath, slowmath

NAN, INF = math.nan, math.inf


def test_it_has_what_fastmath_has() -> None:
    assert set(fastmath.__all__) - set(slowmath.__all__) == {"Array"}
    for name in set(slowmath.__all__) - {"Expression", "Summary"}:
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
    for text in (["1", "2"], [1, None], [1j], [1, [2]], [[1, 2], 3]):
        for module in (slowmath, fastmath):
            with pytest.raises(TypeError, match="not"):
                module.sum(text)
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


def outcome(function: Any, *args: Any, **operands: Any) -> str:
    """What comes of a call, to the bit, or the kind of error."""
    try:
        result = function(*args, **operands)
    except Exception as error:
        return type(error).__name__
    result = result.tolist() if isinstance(result, fastmath.Array) else result
    return repr(tuple(result) if isinstance(result, tuple) else result)


@pytest.mark.parametrize(
    "expression",
    [
        *("1 < x < 3", "y < x < 3", "3 > x >= 1 != y", "x == x == y", "~(1 < x < 3)", "(x < y < 3) + 1"),
        *("x & y", "x | 1", "(x > 0) & y", "~x", "~1", "~-True", "~True", "~+(x > 1)", "-(x > 1) & True"),
        *("where(x, x > 1, y > 1) & True", "where(x, x > 1, 2) & True", "where(x > 1, 1, 2) | True"),
        *("abs(x, y)", "abs()", "minimum(x)", "where(x, y)", "fma(x, y)", "abs(x,)", "exp", "exp(exp)", "x(1)"),
        *("0x10", "1_000", "1j", "0777", "1.", ".5e1", "1e", "1e999", "9" * 400, "1..real", "x.real", "1if x else y"),
        *(
            "x\n+ y",
            "\tx\r\n",
            "x # y",
            "x \\\n+ y",
            "'x'",
            "[x]",
            "{x}",
            "x = y",
            "(x := y)",
            "x <> y",
            "x < = y",
            "é",
        ),
        *(
            "not x",
            "x and y",
            "x in y",
            "x is y",
            "None",
            "lambda: 1",
            "x,",
            "x y",
            "",
            "()",
            "(x",
            "x)",
            "x @ y",
            "x ^ y",
        ),
        *("x**-1", "x**-3", "x**-2", "(-x)**-1", "x*y*y*y", "x // y", "x % y", "-x", "+".join(["x"] * 3000)),
    ],
)
def test_expressions_are_those_of_fastmath(expression: str) -> None:
    for x, y in ((2, 1), (0.0, -0.0), (-0.0, 3.0), (NAN, 1.0), ([1, 10**10], [10**10, 3])):
        names = {"x": x, "y": y, "exp": 0}
        expected = outcome(fastmath.evaluate, expression, names)
        assert outcome(slowmath.evaluate, expression, names) == expected
        assert outcome(lambda: slowmath.compile(expression)(names)) == expected  # noqa: B023 - called at once


def test_compile() -> None:
    for module in (slowmath, fastmath):
        f = module.compile("b + a*b + exp(c)")
        assert (f.text, f.names, repr(f)) == ("b + a*b + exp(c)", ("b", "a", "c"), "compile('b + a*b + exp(c)')")
        assert f(a=2, b=3, c=0) == f({"a": 2, "b": 3, "c": 0}) == f({"a": 2, "b": 3, "c": 1}, c=0) == 10.0
        assert pickle.loads(pickle.dumps(f))(a=2, b=3, c=0) == 10.0
        a = c = 0  # noqa: F841 - found by their names
        assert f(b=1) == module.evaluate("b + a*b + exp(c)", b=1) == 2.0
        assert module.evaluate("INF + a") == INF
        with pytest.raises(NameError, match="'a'"):
            f({"b": 1, "c": 1})
        with pytest.raises(TypeError, match="no name 'd'"):
            f(a=1, b=1, c=1, d=1)
        with pytest.raises(TypeError, match="must be a str"):
            module.compile(1)


@pytest.mark.parametrize(
    "values",
    [
        *(
            [-INF, 1.0],
            [-INF, INF],
            [INF, INF],
            [1.0, INF],
            [0, INF, INF],
            [NAN, 1.0],
            [-1e308, 1.5e308],
        ),
        *([-0.0], [-0.0, -0.0], [True, False], [10**10, 1], [5e-324, 5e-324], [10**400], []),
    ],
)
def test_extremes_are_those_of_fastmath(values: list[float]) -> None:
    for name in ("sum", "mean", "norm", "var", "std", "minmax", "summary", "median"):
        assert outcome(getattr(slowmath, name), values) == outcome(getattr(fastmath, name), values), name
    for q in (0, 0.3, 0.5, 0.9, [0.25, 1]):
        assert outcome(slowmath.quantile, values, q) == outcome(fastmath.quantile, values, q)
    for name in ("dot", "corr", "linear_regression"):
        for other in (values, [1.0, 2.0, 3.0][: len(values)]):
            fast, slow = getattr(fastmath, name), getattr(slowmath, name)
            assert outcome(slow, values, other) == outcome(fast, values, other), (name, other)
            assert outcome(slow, other, values) == outcome(fast, other, values), (name, other)


def test_overflow_is_no_lack_of_spread() -> None:
    for module in (slowmath, fastmath):
        large = [1e200, 2e200, 2e200]
        assert module.var(large) == module.std(large) == module.summary(large).var == INF
        assert all(map(math.isnan, module.linear_regression(large, [1, 2, 3])))
        assert math.isnan(module.corr([1, 2, 3], large))
        assert module.summary([1e308, 1e308])[1:3] == (1e308, 0.0)
        assert module.mean([1e308, 1e308]) == INF


def test_half_of_the_elements_are_equal() -> None:
    """Of 10,000 shuffled elements: the median is between the zeros and the ones, whatever a sample of them says."""
    count = 10000
    sampled = set()
    state, some = 1, int((count * count) ** (1 / 3))
    for i in range(some):  # the elements that median() looks at first
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        sampled.add(int((i + (state >> 11) * 2.0**-53) * (count / some)))
    others = [i for i in range(count) if i not in sampled]
    values = [0.0] * count
    for i in others[-count // 2 :]:
        values[i] = 1.0
    assert fastmath.median(values) == slowmath.median(values) == 0.5


def test_float64_counts_in_any_shape() -> None:
    narrow = fastmath.Array([1, 1], "float32")
    for y in ([1e300], [1e300, 1e300]):
        out = fastmath.Array([0, 0], "float32")
        assert fastmath.evaluate("x*y/y", x=narrow, y=fastmath.Array(y), out=out).tolist() == [1.0, 1.0]
        assert slowmath.evaluate("x*y/y", x=[1, 1], y=y) == [1.0, 1.0]


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
