"""sidewinder.fastmath against sidewinder.slowmath on random data in any strides, and its errors, threads and references."""

from __future__ import annotations

import doctest
import gc
import importlib
import itertools
import math
import pickle
import random
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidewinder import Array, fastmath, fastmath_compare, slowmath

NAN, INF = math.nan, math.inf
SIZES = [0, 1, 2, 3, 7, 8, 9, 31, 64, 65, 100, 1023, 2048, 2049, 5000]
DTYPES = ["float64", "float32"]


def rounded(values: list[float], dtype: str) -> list[float]:
    """The values as the dtype has them."""
    return list(Array(values, dtype))


def random_values(count: int, dtype: str = "float64", seed: int = 1) -> list[float]:
    rng = random.Random(seed * 1_000_003 + count)
    return rounded([rng.gauss(1, 3) for _ in range(count)], dtype)


def vector_forms(values: list[float], dtype: str) -> list[Any]:
    """The same numbers in other memory: as they are, backwards, every third of a longer one, in another's buffer."""
    wide = Array([v for value in values for v in (value, 99.0, -99.0)], dtype)
    plain = array("d" if dtype == "float64" else "f", values)
    return [Array(values, dtype), Array(values[::-1], dtype)[::-1], wide[::3], plain, memoryview(plain[::-1])[::-1]]


def matrix_forms(rows: list[list[float]], dtype: str) -> list[Any]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    wide = Array([[v for value in row for v in (value, 99.0)] for row in rows], dtype)
    return [Array(rows, dtype), Array(columns, dtype).T, wide[:, ::2], Array(rows[::-1], dtype)[::-1]]


def random_matrix(rows: int, columns: int, dtype: str = "float64", seed: int = 1) -> list[list[float]]:
    values = random_values(rows * columns, dtype, seed)
    return [values[i * columns : (i + 1) * columns] for i in range(rows)]


def near(value: Any, tolerance: float = 1e-9) -> Any:
    return pytest.approx(value, rel=tolerance, abs=tolerance, nan_ok=True)


def close(values: Any, expected: Any, tolerance: float = 1e-9, absolute: float | None = None) -> bool:
    """As near(), for long lists."""
    values, expected = Array(values).reshape(-1), Array(expected).reshape(-1)
    slack = tolerance if absolute is None else absolute
    return len(values) == len(expected) and all(
        a == b or math.isclose(a, b, rel_tol=tolerance, abs_tol=slack) or (a != a and b != b)
        for a, b in zip(values.tolist(), expected.tolist(), strict=True)
    )


REDUCTIONS = ["sum", "mean", "norm", "var", "std"]


class TestReductions:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("count", SIZES)
    def test_against_the_oracle(self, count: int, dtype: str) -> None:
        values = random_values(count, dtype)
        expected = {name: getattr(slowmath, name)(values) for name in REDUCTIONS}
        summary, variance = tuple(slowmath.summary(values)), slowmath.var(values, ddof=1)
        middle, third = (slowmath.quantile(values, q) if count else NAN for q in (0.5, 0.3))
        for x in vector_forms(values, dtype):
            for name in REDUCTIONS:
                assert getattr(fastmath, name)(x) == near(expected[name]), name
            assert fastmath.var(x, 1) == near(variance)
            assert fastmath.summary(x) == near(summary)
            if count:
                assert fastmath.minmax(x) == summary[-2:]
                assert fastmath.median(x) == near(middle, 1e-14)
                assert fastmath.quantile(x, 0.3) == near(third, 1e-12)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("count", SIZES)
    def test_of_two(self, count: int, dtype: str) -> None:
        left, right = random_values(count, dtype), random_values(count, dtype, 2)
        product, correlation = slowmath.dot(left, right), slowmath.corr(left, right)
        line = slowmath.linear_regression(left, right) if count >= 2 else None
        for x, y in zip(vector_forms(left, dtype), reversed(vector_forms(right, dtype)), strict=True):
            assert fastmath.dot(x, y) == near(product, 1e-8)
            assert fastmath.corr(x, y) == near(correlation, 1e-8)
            if line is not None:
                assert fastmath.linear_regression(x, y) == near(line, 1e-8)

    def test_any_shape(self) -> None:
        rows = random_matrix(37, 11)
        for x in [*matrix_forms(rows, "float64"), rows]:
            for name in REDUCTIONS:
                assert getattr(fastmath, name)(x) == near(getattr(slowmath, name)(rows))
            assert fastmath.minmax(x) == slowmath.minmax(rows)
        part = Array(range(24)).reshape(2, 3, 4)[::-1, ::2, ::-3]
        assert fastmath.sum(part) == slowmath.sum(part) == 15 + 12 + 23 + 20 + 3 + 0 + 11 + 8

    @pytest.mark.parametrize("name", [*REDUCTIONS, "minmax", "median"])
    def test_the_number_of_threads_changes_no_bit(self, name: str) -> None:
        x = Array(random_values(200_000))
        results = {getattr(fastmath, name)(x, threads=threads) for threads in (None, 1, 2, 3, 7)}
        assert len(results) == 1

    def test_two_vectors_on_threads(self) -> None:
        x, y = Array(random_values(150_000)), Array(random_values(150_000, seed=2))
        for function in (fastmath.dot, fastmath.corr, fastmath.linear_regression):
            assert len({function(x, y, threads=threads) for threads in (None, 1, 2, 5)}) == 1

    def test_what_is_given(self) -> None:
        for x in (
            [1, 2, 3],
            (1, 2, 3),
            range(1, 4),
            iter([1, 2, 3]),
            array("b", [1, 2, 3]),
            b"\x01\x02\x03",
            Array([1, 2, 3], "int64"),
        ):
            assert fastmath.sum(x) == 6.0
        assert fastmath.sum(5) == fastmath.sum(5.0) == fastmath.mean(5) == 5.0
        assert fastmath.sum(x=[True, False, True]) == 2.0

        class Series:
            """As pandas has them: no buffer, but a way to one."""

            def __array__(self, dtype: Any = None, copy: Any = None) -> memoryview:
                return memoryview(array("d", [1, 2, 4]))

        assert fastmath.sum(Series()) == 7.0  # type: ignore[arg-type]

    def test_nan_and_infinity(self) -> None:
        for position in (0, 5, 4000):
            values = [1.0] * 5000
            values[position] = NAN
            for name in [*REDUCTIONS, "median"]:
                assert math.isnan(getattr(fastmath, name)(Array(values))), name
            assert all(map(math.isnan, fastmath.minmax(Array(values))))
            assert math.isnan(fastmath.dot(values, [1.0] * 5000))
        assert fastmath.sum([1, INF]) == fastmath.norm([1, -INF]) == INF
        assert math.isnan(fastmath.sum([INF, -INF]))
        assert fastmath.minmax([INF, 0, -INF]) == (-INF, INF)
        assert fastmath.norm([3e200, 4e200]) == near(5e200)
        assert fastmath.norm([3e-200, 4e-200]) == pytest.approx(5e-200, rel=1e-9, abs=0)

    def test_nothing(self) -> None:
        assert fastmath.sum([]) == fastmath.norm([]) == fastmath.dot([], []) == 0.0
        for value in (
            fastmath.mean([]),
            fastmath.var([]),
            fastmath.std([1], ddof=1),
            fastmath.corr([1], [2]),
            fastmath.corr([1, 1], [2, 3]),
        ):
            assert math.isnan(value)
        for function in (fastmath.minmax, fastmath.median):
            with pytest.raises(ValueError, match="of nothing"):
                function([])
        with pytest.raises(ValueError, match="of nothing"):
            fastmath.quantile([], 0.5)
        with pytest.raises(ValueError, match="at least 2 points"):
            fastmath.linear_regression([1], [2])
        with pytest.raises(ValueError, match="no slope"):
            fastmath.linear_regression([1, 1], [2, 3])

    def test_summary(self) -> None:
        found = fastmath.summary([3, 1, 2], ddof=1)
        assert (found.count, found.mean, found.var, found.std, found.min, found.max) == (3, 2.0, 1.0, 1.0, 1.0, 3.0)
        assert repr(found).startswith("sidewinder.fastmath.Summary(count=3, mean=2.0")
        nothing = fastmath.summary([])
        assert nothing.count == 0
        assert all(map(math.isnan, nothing[1:]))
        assert all(map(math.isnan, fastmath.summary([1, NAN])[1:]))
        x = Array(random_values(100_000))
        assert len({tuple(fastmath.summary(x, threads=threads)) for threads in (None, 1, 2, 3)}) == 1

    def test_an_exact_line(self) -> None:
        assert fastmath.linear_regression([1, 2, 3], [2, 4, 6]) == (2.0, 0.0, 1.0)
        assert fastmath.corr([1, 2, 3], [3, 2, 1]) == -1.0


class TestStatistics:
    @pytest.mark.parametrize("count", [1, 2, 3, 10, 1001, 20_000])
    def test_quantiles(self, count: int) -> None:
        values = random_values(count)
        qs = [0.0, 0.01, 0.25, 1 / 3, 0.5, 0.9, 0.999, 1.0]
        result = fastmath.quantile(Array(values)[::-1], qs)
        assert result.tolist() == near(slowmath.quantile(values, qs), 1e-12)
        assert fastmath.quantile(values, [[0.5], [1.0]]).shape == (2, 1)
        assert len({fastmath.quantile(Array(values), 0.7, threads=t) for t in (1, 2, None)}) == 1

    def test_quantile_is_refused(self) -> None:
        for q in (-0.1, 1.1, NAN, [0.5, 2]):
            with pytest.raises(ValueError, match="q must lie"):
                fastmath.quantile([1, 2], q)
        with pytest.raises(TypeError):
            fastmath.quantile([1, 2], "a")

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("bins", [1, 7, 10, 1000])
    def test_histogram(self, bins: int, dtype: str) -> None:
        values = random_values(5000, dtype)
        for x in vector_forms(values, dtype):
            counts, edges = fastmath.histogram(x, bins)
            assert (counts.tolist(), edges.tolist()) == slowmath.histogram(values, bins)
            assert (counts.dtype, edges.dtype) == ("int64", "float64")
            counts, edges = fastmath.histogram(x, bins=bins, range=(-1, 2.5), threads=2)
            assert (counts.tolist(), edges.tolist()) == slowmath.histogram(values, bins, (-1, 2.5))

    def test_histogram_of_special_values(self) -> None:
        for x, bins, limits in (
            ([], 3, None),
            ([3, 3], 2, None),
            ([NAN, 1, INF, -INF, 0, 2], 4, (0, 2)),
            ([1], 1, (1, 1)),
        ):
            counts, edges = fastmath.histogram(x, bins, limits)
            assert (counts.tolist(), edges.tolist()) == slowmath.histogram(x, bins, limits)
        wrong: list[tuple[list[float], Any]] = [([1, NAN], None), ([1, INF], None), ([1], (2, 1)), ([1], (0, INF))]
        for values, ends in [*wrong, ([1.0], (NAN, 1))]:
            with pytest.raises(ValueError, match="not finite and ascending"):
                fastmath.histogram(values, range=ends)
        for bins in (0, -1, 2**40):
            with pytest.raises(ValueError, match="bins must lie in"):
                fastmath.histogram([1], bins)
        with pytest.raises(ValueError, match="two numbers"):
            fastmath.histogram([1], range=(1, 2, 3))
        with pytest.raises(TypeError):
            fastmath.histogram([1], range=5)  # type: ignore[call-overload]

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("alpha", [0.001, 0.3, 0.5, 1])
    def test_ewma(self, alpha: float, dtype: str) -> None:
        for count in SIZES:
            values = random_values(count, dtype)
            expected = slowmath.ewma(values, alpha)
            for x in vector_forms(values, dtype):
                result = fastmath.ewma(x, alpha)
                assert result.dtype == dtype
                assert close(result, expected, 1e-9 if dtype == "float64" else 1e-5)

    def test_ewma_in_place(self) -> None:
        x = Array(random_values(1000))
        expected = fastmath.ewma(x, 0.1)
        assert fastmath.ewma(x, 0.1, out=x) is x
        assert x == expected
        for alpha in (0, -1, 1.1, NAN):
            with pytest.raises(ValueError, match="alpha must lie in"):
                fastmath.ewma([1], alpha)
        with pytest.raises(ValueError, match="takes a vector"):
            fastmath.ewma([[1]], 0.5)


class TestElementwise:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", ["exp", "log"])
    def test_against_the_oracle(self, name: str, dtype: str) -> None:
        fast, slow = getattr(fastmath, name), getattr(slowmath, name)
        tolerance = 4e-16 if dtype == "float64" else 1.3e-7
        for count in SIZES:
            values = random_values(count, dtype)
            expected = slow(values)
            for x in vector_forms(values, dtype):
                result = fast(x)
                assert (result.dtype, result.shape) == (dtype, (count,))
                assert close(result, expected, tolerance, 1e-300)
        rows = random_matrix(9, 300, dtype)
        for x in matrix_forms(rows, dtype):
            assert bytes(fast(x)) == bytes(fast(Array(rows, dtype)))

    def test_special_values(self) -> None:
        special = [0.0, -0.0, 1.0, INF, -INF, NAN, 1000.0, -1000.0, 709.7, -745.0, 5e-324, 1.7e308]
        assert fastmath.exp(special).tolist() == pytest.approx(slowmath.exp(special), rel=4e-16, nan_ok=True)
        assert fastmath.log(special).tolist() == pytest.approx(slowmath.log(special), rel=4e-16, nan_ok=True)

    def test_numbers(self) -> None:
        assert fastmath.exp(1) == pytest.approx(math.e, rel=4e-16)
        assert fastmath.log(True) == 0.0
        assert type(fastmath.exp(0.5)) is float
        assert fastmath.exp(Array(1.0)).shape == ()

    def test_out(self) -> None:
        x = Array(random_values(3000))
        expected = fastmath.exp(x)
        for out in (Array([0] * 3000), array("d", bytes(24000))):
            assert fastmath.exp(x, out) is out
            assert list(out) == expected.tolist()
        assert fastmath.exp(x, out=x, threads=2) is x
        assert x == expected


EXPRESSIONS = [
    "a*b + c",
    "a*b - c",
    "c - a*b",
    "(a + b) * (a - b) / (1 + c*c)",
    "a",
    "-a",
    "+a - -b",
    "2",
    "abs(a) + sqrt(abs(b))",
    "where(a > 0, a*b + c, exp(-a))",
    "where((a > 0) & (b < 1) | ~(c == c), a, b)",
    "minimum(a, b) + maximum(b, c)",
    "(a >= b) + (a <= b) * 2 + (a == b) * 4 + (a != b) * 8",
    "floor(a) + ceil(b) + round(c)",
    "sign(a) * log(abs(b) + 1)",
    "a**2 + b**3 - c**1",
    "abs(a)**0.5 + 2**b",
    "a // b + a % b",
    "log2(abs(a)) + log10(abs(b)) + log1p(abs(c)) + expm1(c)",
    "sin(a) * cos(b) + tan(c / 10) + tanh(a)",
    "pow(abs(a), b)",
    "1.5e0 * a + .5 * b + 2. * c + 1e-3",
    "  ( a\t+ b ) ",
]


class TestExpressions:
    @pytest.mark.parametrize("expression", EXPRESSIONS)
    @pytest.mark.parametrize("count", [1, 5, 100, 3000])
    def test_against_the_oracle(self, expression: str, count: int) -> None:
        columns = {name: random_values(count, seed=seed) for seed, name in enumerate("abc")}
        used = fastmath.compile(expression).names
        operands = {name: columns[name] for name in used}
        expected = slowmath.evaluate(expression, operands)
        forms = [vector_forms(values, "float64") for values in operands.values()]
        for i in range(5 if forms else 1):
            chosen = {
                name: form[(i + shift) % 5] for shift, (name, form) in enumerate(zip(operands, forms, strict=True))
            }
            result = fastmath.evaluate(expression, chosen)
            assert close(result, expected, 1e-12)

    def test_fma_rounds_once(self) -> None:
        a, b, c = 1 + 2**-30, 1 - 2**-30, -1.0
        assert fastmath.evaluate("fma(a, b, c)", a=a, b=b, c=c) == -(2.0**-60)
        assert fastmath.evaluate("a*b + c", a=a, b=b, c=c) == a * b + c == 0.0

    def test_dtypes(self) -> None:
        f32, f64 = Array([1, 2], "float32"), Array([0.1, 0.2])
        assert fastmath.evaluate("a + 0.1", a=f32).dtype == "float32"
        assert fastmath.evaluate("a + b", a=f32, b=0.1).dtype == "float32"
        assert fastmath.evaluate("a + b", a=f32, b=f64).tolist() == [1.1, 2.2]
        assert fastmath.evaluate("a + b", a=array("i", [1, 2]), b=[1, 2]).dtype == "float64"
        assert fastmath.evaluate("a * b", a=3, b=True) == 3.0
        wide = Array([0.0, 0.0])
        assert fastmath.evaluate("a / 3", a=f32, out=wide) is wide
        assert wide.tolist() == [1 / 3, 2 / 3]
        narrow = Array([0, 0], "float32")
        assert fastmath.evaluate("a / 3", a=f64, out=narrow).tolist() == rounded([0.1 / 3, 0.2 / 3], "float32")

    def test_broadcasting(self) -> None:
        rng = random.Random(5)
        for _ in range(200):
            full = [rng.randint(1, 5) for _ in range(rng.randint(1, 4))]
            operands = {}
            for name in "abc":
                shape = [size if rng.random() < 0.7 else 1 for size in full][rng.randint(0, len(full)) :]
                values = random_values(math.prod(shape), seed=rng.randint(1, 10**6))
                operands[name] = Array(values).reshape(shape)
                if shape and rng.random() < 0.3:
                    operands[name] = operands[name][::-1]
            result = fastmath.evaluate("a*b + c", operands)
            expected = Array(slowmath.evaluate("a*b + c", operands))
            assert getattr(result, "shape", ()) == expected.shape
            assert close(result, expected)
        with pytest.raises(ValueError, match=r"could not be broadcast together: shape \(2,\) and, of 'b', \(3,\)"):
            fastmath.evaluate("a + b", a=[1, 2], b=[1, 2, 3])
        assert fastmath.evaluate("a + b", a=[], b=[[1], [2]]).shape == (2, 0)

    def test_names_in_the_caller(self) -> None:
        a, b = Array([1.0, 2.0]), 10
        assert fastmath.evaluate("a*b + EXPRESSIONS_COUNT").tolist() == [10 + EXPRESSIONS_COUNT, 20 + EXPRESSIONS_COUNT]
        assert fastmath.evaluate("a*b", b=3).tolist() == [3, 6]
        assert fastmath.evaluate("a*b", {"a": 2, "b": 5}) == 10
        assert fastmath.evaluate("a*b", names={"a": 2}, b=7) == 14
        assert fastmath.compile("a*b")().tolist() == [10, 20]

        def inner() -> Any:
            a = b + 2  # noqa: F841 - found by its name
            return fastmath.evaluate("a + 2")

        assert inner() == 14
        with pytest.raises(NameError, match="name 'b' of the expression 'a\\*b' is not defined"):
            fastmath.evaluate("a*b", {"a": a})
        with pytest.raises(NameError, match="'missing'"):
            fastmath.evaluate("missing + 1")

        class Body:
            a = 4
            value = fastmath.evaluate("a * 2")

        assert Body.value == 8

    def test_a_mapping_that_fails(self) -> None:
        class Names(dict[str, float]):
            def __missing__(self, key: str) -> float:
                if key == "b":
                    raise RuntimeError("the source broke")
                return 2.0

        assert fastmath.evaluate("a + c", Names()) == 4.0
        with pytest.raises(RuntimeError, match="the source broke"):
            fastmath.evaluate("a + b", Names())

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a +",
            "a b",
            "1 +* 2",
            "(a",
            "a)",
            "f(a)",
            "exp()",
            "exp(a, b)",
            "a.b",
            "a = b",
            "'x'",
            "[a]",
            "lambda: 1",
            "\0",
            "a\0b",
            "ü $",
        ],
    )
    def test_texts_that_are_no_expression(self, text: str) -> None:
        with pytest.raises(ValueError, match="cannot compile"):
            fastmath.evaluate(text, {"a": 1, "b": 2})
        with pytest.raises(ValueError, match="cannot compile"):
            fastmath.compile(text)

    def test_refused(self) -> None:
        with pytest.raises(TypeError, match="has no name 'z'"):
            fastmath.evaluate("a", a=1, z=2)
        with pytest.raises(TypeError, match="must be a str"):
            fastmath.evaluate(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="missing required argument 'expression'"):
            fastmath.evaluate()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="at most 3"):
            fastmath.evaluate("a", {}, None, 1)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="multiple values"):
            fastmath.evaluate("a", {"a": 1}, names={"a": 1})  # type: ignore[misc]
        with pytest.raises(ValueError, match="threads must lie"):
            fastmath.evaluate("a", a=[1, 2], threads=0)
        with pytest.raises(TypeError, match="not str"):
            fastmath.evaluate("a", a="text")
        with pytest.raises(UnicodeEncodeError):
            fastmath.evaluate("\ud800")
        many = "+".join(f"x{i}" for i in range(40))
        with pytest.raises(ValueError, match="cannot compile"):
            fastmath.compile(many)

    def test_compiled(self) -> None:
        expression = fastmath.compile("where(a > lim, b, a*b)")
        assert expression.text == "where(a > lim, b, a*b)"
        assert expression.names == ("a", "lim", "b")
        assert repr(expression) == "compile('where(a > lim, b, a*b)')"
        assert expression(a=[1, 5], lim=3, b=10).tolist() == [10, 10]
        assert expression({"a": 5, "lim": 9, "b": 2}) == 10
        again = pickle.loads(pickle.dumps(expression))
        assert again(a=1, b=2, lim=0) == 2
        with pytest.raises(TypeError, match="cannot create"):
            type(expression)()

    def test_more_texts_than_are_remembered(self) -> None:
        for _ in range(2):
            for i in range(600):
                assert fastmath.evaluate(f"a + {i}", a=1) == 1 + i

    def test_out_and_in_place(self) -> None:
        a, b = Array(random_values(5000)), Array(random_values(5000, seed=2))
        expected = fastmath.evaluate("a*b + 1", a=a, b=b)
        assert fastmath.evaluate("a*b + 1", a=a, b=b, out=a, threads=2) is a
        assert a == expected
        with pytest.raises(ValueError, match="out overlaps a"):
            fastmath.evaluate("a + b", a=a[1:], b=b[1:], out=a[:-1])
        with pytest.raises(ValueError, match="out overlaps a"):
            fastmath.evaluate("a + b", a=a[::-1], b=b, out=a)
        with pytest.raises(ValueError, match="out overlaps a"):  # read by every row, written by the first
            fastmath.evaluate("a + b", a=a[:100], b=b.reshape(50, 100), out=a.reshape(50, 100))
        with pytest.raises(ValueError, match=r"out has shape \(5000,\).*; the result has shape \(4999,\)"):
            fastmath.evaluate("a + 1", a=a[1:], out=b)

    def test_where(self) -> None:
        cond = [1, 0, NAN, -2, 0.0]
        assert fastmath.where(cond, 1, 2).tolist() == slowmath.where(cond, 1, 2) == [1, 2, 1, 1, 2]
        rows = [[1.0], [2.0]]
        assert fastmath.where(array("b", [1, 0, 1]), rows, 0).tolist() == slowmath.where([1, 0, 1], rows, 0)
        assert fastmath.where(True, 5, 6) == 5.0
        x = Array([1, -1, 2])
        assert fastmath.where(fastmath.evaluate("x > 0"), x, 0, out=x) is x
        assert x.tolist() == [1, 0, 2]
        with pytest.raises(ValueError, match="broadcast"):
            fastmath.where([1, 0], [1, 2, 3], 0)


EXPRESSIONS_COUNT = 7


class TestMatmul:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize(
        "shape",
        [
            (1, 1, 1),
            (2, 3, 4),
            (3, 1, 2),
            (7, 5, 3),
            (16, 16, 16),
            (33, 20, 17),
            (1, 50, 60),
            (61, 50, 1),
            (40, 90, 70),
        ],
    )
    def test_against_the_oracle(self, shape: tuple[int, int, int], dtype: str) -> None:
        m, k, n = shape
        a, b = random_matrix(m, k, dtype), random_matrix(k, n, dtype, 2)
        expected = Array(slowmath.matmul(a, b))
        tolerance = 1e-12 if dtype == "float64" else 2e-5
        for x in matrix_forms(a, dtype):
            for y in matrix_forms(b, dtype):
                for threads in (None, 2):
                    result = fastmath.matmul(x, y, threads=threads)
                    assert result.dtype == dtype
                    assert close(result, expected, tolerance, 100 * tolerance)

    def test_vectors(self) -> None:
        a, b = random_matrix(6, 4), random_matrix(4, 5)
        assert fastmath.matmul(a, b[0][:4]).tolist() == near(slowmath.matmul(a, b[0][:4]))
        assert fastmath.matmul([1, 2, 3, 4], b).tolist() == near(slowmath.matmul([1, 2, 3, 4], b))
        assert fastmath.matmul([1, 2], [3, 4]) == 11.0
        assert fastmath.matmul(Array(range(8))[::2], Array(range(4))[::-1]) == 0 * 3 + 2 * 2 + 4 * 1

    def test_nothing(self) -> None:
        empty = Array([]).reshape(3, 0)
        assert fastmath.matmul(empty, Array([]).reshape(0, 2)).tolist() == [[0, 0]] * 3
        assert fastmath.matmul(Array([]).reshape(0, 3), Array([1, 2, 3]).reshape(3, 1)).shape == (0, 1)
        assert fastmath.matmul([], []) == 0.0

    def test_out(self) -> None:
        a, b = Array(random_matrix(5, 3)), Array(random_matrix(3, 4))
        out = Array([[0.0] * 4] * 5)
        assert fastmath.matmul(a, b, out) is out
        assert out == fastmath.matmul(a, b)
        square = Array(random_matrix(4, 4))
        for left, right in ((square, square[::-1]), (Array(random_matrix(4, 4)), square)):
            with pytest.raises(ValueError, match=r"out overlaps [ab]; give a separate out"):
                fastmath.matmul(left, right, out=square)

    @pytest.mark.parametrize(
        ("a", "b", "text"),
        [
            ((3, 4), (5, 6), r"shapes \(3, 4\) and \(5, 6\) not aligned: 4 \(dim 1\) != 5 \(dim 0\)"),
            ((3,), (4,), r"shapes \(3,\) and \(4,\) not aligned: 3 \(dim 0\) != 4 \(dim 0\)"),
            ((2, 3), (2,), r"shapes \(2, 3\) and \(2,\) not aligned: 3 \(dim 1\) != 2 \(dim 0\)"),
            ((2, 2, 2), (2, 2), r"not shapes \(2, 2, 2\) and \(2, 2\)"),
            ((), (2, 2), r"not shapes \(\) and \(2, 2\)"),
        ],
    )
    def test_shapes_that_do_not_fit(self, a: tuple[int, ...], b: tuple[int, ...], text: str) -> None:
        with pytest.raises(ValueError, match=text):
            fastmath.matmul(Array(range(math.prod(a))).reshape(a), Array(range(math.prod(b))).reshape(b))

    def test_mixed_dtypes(self) -> None:
        a, b = Array([[0.1, 0.2]]), Array([[1], [2]], "float32")
        assert fastmath.matmul(a, b).dtype == fastmath.matmul(b, a).dtype == "float64"
        assert fastmath.matmul(a, b).tolist() == [[pytest.approx(0.5)]]
        assert fastmath.dot(a[0], b[:, 0]) == pytest.approx(0.5)


class TestDiffusion:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("periodic", [True, False])
    @pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (3, 3), (8, 13), (40, 70)])
    def test_against_the_oracle(self, shape: tuple[int, int], periodic: bool, dtype: str) -> None:
        rows = random_matrix(*shape, dtype)
        for steps in (0, 1, 2, 9, 25):
            expected = Array(slowmath.diffuse(rows, steps, 0.15, periodic))
            for grid in matrix_forms(rows, dtype):
                result = fastmath.diffuse(grid, steps, 0.15, periodic, threads=2 if steps == 9 else None)
                assert (result.shape, result.dtype) == (shape, dtype)
                assert close(result, expected, 1e-4, 1e-12 if dtype == "float64" else 1e-4)

    def test_in_place_and_out(self) -> None:
        grid = Array(random_matrix(50, 60))
        expected = fastmath.diffuse(grid, 13)
        out = Array([[0.0] * 60] * 50)
        assert fastmath.diffuse(grid, steps=13, out=out, threads=3) is out
        assert out == expected
        assert fastmath.diffuse(grid, 13, out=grid) is grid
        assert grid == expected
        assert fastmath.diffuse(Array([]).reshape(0, 3), 4).shape == (0, 3)

    def test_refused(self) -> None:
        with pytest.raises(ValueError, match="2 dimensions"):
            fastmath.diffuse([1, 2, 3])
        with pytest.raises(ValueError, match="steps must lie"):
            fastmath.diffuse([[1]], -1)
        with pytest.raises(TypeError, match="steps must be an int"):
            fastmath.diffuse([[1]], 1.5)  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="rate must be finite"):
            fastmath.diffuse([[1]], rate=NAN)
        grid = Array(random_matrix(8, 8))
        with pytest.raises(ValueError, match="out overlaps grid"):
            fastmath.diffuse(grid[:-1], out=grid[1:])


class TestFractals:
    def test_the_known_sum_of_a_julia_set(self) -> None:
        """Of "High Performance Python" (Gorelick, Ozsvald), chapter 2: 1000 x 1000 points, 300 iterations."""
        counts = fastmath.julia(complex(-0.62772, -0.42193), 1000, 1000, y=(1.8, -1.8), iterations=300, exact=True)
        assert fastmath.sum(counts) == 33219980
        assert (counts.shape, counts.dtype) == ((1000, 1000), "uint32")

    @pytest.mark.parametrize("name", ["mandelbrot", "julia", "burning_ship"])
    @pytest.mark.parametrize("size", [(1, 1), (7, 3), (64, 40), (101, 33)])
    def test_exact_against_the_oracle(self, name: str, size: tuple[int, int]) -> None:
        first: tuple[Any, ...] = (complex(-0.4, 0.6),) if name == "julia" else ()
        expected = getattr(slowmath, name)(*first, *size, iterations=60)
        for threads in (None, 1, 3):
            counts = getattr(fastmath, name)(*first, *size, iterations=60, exact=True, threads=threads)
            assert counts.tolist() == expected
        fused = getattr(fastmath, name)(*first, *size, iterations=60).tolist()
        wrong = sum(a != b for x, y in zip(fused, expected, strict=True) for a, b in zip(x, y, strict=True))
        assert wrong <= 0.02 * size[0] * size[1]

    def test_axes(self) -> None:
        counts = fastmath.mandelbrot(4, 2, x=(-2, 2), y=(-1.0, 1.0), iterations=50, exact=True)
        assert counts[1].tolist() == slowmath.mandelbrot(4, 2, x=(-2, 2), y=(-1.0, 1.0), iterations=50)[1]
        flipped = fastmath.mandelbrot(40, 20, y=(1.0, -1.0), exact=True)
        assert flipped[1:] == fastmath.mandelbrot(40, 20, exact=True)[1:][::-1]

    def test_out(self) -> None:
        out = array("I", bytes(4 * 12))
        grid = memoryview(out).cast("B").cast("I", (3, 4))
        assert fastmath.mandelbrot(4, 3, out=grid) is grid
        assert grid.tolist() == fastmath.mandelbrot(4, 3).tolist()
        assert fastmath.mandelbrot(0, 3).shape == (3, 0)
        assert fastmath.mandelbrot(3, 0).shape == (0, 3)
        assert fastmath.mandelbrot(2, 2, iterations=0).tolist() == [[0, 0], [0, 0]]
        with pytest.raises(ValueError, match=r"result has shape .* and dtype uint32"):
            fastmath.mandelbrot(4, 3, out=Array([[0.0] * 4] * 3))

    def test_refused(self) -> None:
        for wrong in (
            {"x": (1, 2, 3)},
            {"y": (NAN, 1)},
            {"iterations": -1},
            {"iterations": 2**32},
            {"width": -1},
            {"height": 2**25},
            {"x": (0, INF)},
        ):
            with pytest.raises(ValueError, match=r"two numbers|finite|must lie in"):
                fastmath.mandelbrot(**{"width": 4, "height": 4, **wrong})  # type: ignore[call-overload]
        for other in ({"x": 5}, {"width": 1.5}, {"x": ("a", "b")}):
            with pytest.raises(TypeError):
                fastmath.mandelbrot(**{"width": 4, "height": 4, **other})  # type: ignore[call-overload]
        with pytest.raises(TypeError):
            fastmath.julia("c", 4, 4)  # type: ignore[call-overload]


class TestCalls:
    def test_keywords(self) -> None:
        with pytest.raises(TypeError, match=r"sum\(\) missing required argument 'x' \(pos 1\)"):
            fastmath.sum()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"sum\(\) takes at most 1 positional argument but 2 were given"):
            fastmath.sum([1], 2)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"sum\(\) got an unexpected keyword argument 'axis'"):
            fastmath.sum([1], axis=0)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"sum\(\) got multiple values for argument 'x'"):
            fastmath.sum([1], x=[2])  # type: ignore[misc]
        assert fastmath.var(ddof=1, x=[1, 3]) == 2.0
        assert fastmath.var(**{"".join(["dd", "of"]): 1, "x": [1, 3]}) == 2.0  # type: ignore[arg-type]

    @pytest.mark.parametrize("threads", [0, -1, 257, 10**30])
    def test_threads_out_of_range(self, threads: int) -> None:
        for call in (
            lambda: fastmath.sum([1], threads=threads),
            lambda: fastmath.exp(1.0, threads=threads),
            lambda: fastmath.matmul([[1]], [[1]], threads=threads),
            lambda: fastmath.mandelbrot(2, 2, threads=threads),
        ):
            with pytest.raises(ValueError, match=r"threads must lie in 1 \.\.\. 256"):
                call()

    def test_more_than_there_is_memory(self) -> None:
        for threads in (None, 1, 2):
            with pytest.raises(MemoryError):
                fastmath.mandelbrot(2**24, 2**24, threads=threads)

    def test_wrong_threads(self) -> None:
        with pytest.raises(TypeError, match="threads must be an int, not float"):
            fastmath.sum([1], threads=2.0)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "wrong", ["123", None, {1: 2}, ["a"], object(), memoryview(b"ab").cast("c"), [[1, 2], [3]], [None]]
    )
    def test_what_is_no_number(self, wrong: Any) -> None:
        for call in (
            fastmath.sum,
            fastmath.exp,
            fastmath.median,
            lambda x: fastmath.dot([1], x),
            lambda x: fastmath.matmul(x, [[1]]),
        ):
            with pytest.raises((TypeError, ValueError), match=r"expected|number|lengths"):
                call(wrong)

    def test_shapes_of_vectors(self) -> None:
        with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\) not aligned: 2 \(dim 0\) != 3 \(dim 0\)"):
            fastmath.dot([1, 2], [1, 2, 3])
        with pytest.raises(ValueError, match=r"corr\(\) takes vectors .* not shapes \(1, 2\) and \(2,\)"):
            fastmath.corr([[1, 2]], [1, 2])

    @pytest.mark.parametrize(
        ("out", "error", "text"),
        [
            (
                Array([0, 0]),
                ValueError,
                r"out has shape \(2,\) and dtype float64; the result has shape \(3,\) and dtype float64",
            ),
            (Array([0, 0, 0], "float32"), ValueError, r"dtype float32; the result has .* dtype float64"),
            (array("l", [0, 0, 0]), ValueError, "the result has"),
            (Array([0] * 6)[::2], ValueError, "contiguous in C order"),
            ([0, 0, 0], TypeError, "out must be a writable buffer .* not list"),
            (memoryview(bytes(24)).cast("d"), (BufferError, ValueError), "writ"),
            (bytearray(24), ValueError, "the result has"),
        ],
    )
    def test_wrong_out(self, out: Any, error: Any, text: str) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: fastmath.exp([1, 2, 3], out=out),
            lambda: fastmath.ewma([1, 2, 3], 0.5, out),
        ]
        for call in calls:
            with pytest.raises(error, match=text):
                call()

    def test_functions_are_described(self) -> None:
        for name in fastmath.__all__:
            assert len(getattr(fastmath, name).__doc__ or "") > 40, name


class TestNumPy:
    @pytest.fixture
    def np(self) -> Any:
        return pytest.importorskip("numpy")

    def test_arrays_in_arrays_out(self, np: Any) -> None:
        x = np.arange(12.0).reshape(3, 4)
        for result in (
            fastmath.exp(x),
            fastmath.evaluate("x + y", x=x, y=1),
            fastmath.evaluate("x + y", x=[1, 2, 3, 4], y=x[0]),
            fastmath.where(x > 3, x, 0),
            fastmath.matmul(x, [[1], [2], [3], [4]]),
            fastmath.diffuse(x),
            fastmath.ewma(x[0], 0.5),
            fastmath.quantile(x, [0.1]),
            fastmath.quantile([1, 2], np.array([0.1])),
            *fastmath.histogram(x),
        ):
            assert type(result) is np.ndarray
        assert type(fastmath.exp([1.0])) is Array
        assert type(fastmath.exp(memoryview(x))) is Array
        assert type(fastmath.sum(x)) is type(fastmath.exp(np.float64(1))) is float
        for scalar in (np.float32(2), np.int8(2), np.bool_(True), np.uint64(2)):
            assert type(fastmath.exp(scalar)) is type(fastmath.evaluate("x + 1", x=scalar)) is float
            assert fastmath.evaluate("x * y", x=x.astype("f4"), y=scalar).dtype == np.float32
        assert fastmath.exp(np.array(1.0)).shape == ()
        assert fastmath.exp(x.astype("f4")).dtype == np.float32
        assert fastmath.histogram(x)[0].dtype == np.int64
        out = np.empty_like(x)
        assert fastmath.exp(x, out=out) is out

    @pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
    def test_dtypes_and_strides(self, np: Any, dtype: str) -> None:
        rng = np.random.default_rng(4)
        full = (rng.random((12, 14, 10)) * 50).astype(dtype)
        for x in (
            full,
            full.T,
            full[::-1, ::2, ::-3],
            full[3],
            full[:, 2, 1],
            full[0, 0, 0:0],
            np.broadcast_to(full[0, 0], (5, 10)),
        ):
            expected = x.astype("f8")
            assert fastmath.sum(x) == near(float(expected.sum()))
            assert fastmath.norm(x) == near(float(np.linalg.norm(expected.ravel())))
            assert np.allclose(fastmath.evaluate("2*x + 1", x=x), 2 * expected + 1, rtol=1e-6)
            if x.size:
                assert fastmath.minmax(x) == (expected.min(), expected.max())
                assert fastmath.median(x) == near(float(np.median(expected)))
                assert fastmath.var(x) == near(float(expected.var()), 1e-9)

    def test_statistics(self, np: Any) -> None:
        x = np.random.default_rng(5).normal(size=30_001)
        assert fastmath.quantile(x, [0.1, 0.77]).tolist() == near(np.quantile(x, [0.1, 0.77]).tolist(), 1e-13)
        counts, edges = fastmath.histogram(x, 50)
        expected, expected_edges = np.histogram(x, 50)
        assert np.array_equal(counts, expected)
        assert np.allclose(edges, expected_edges, rtol=1e-15)
        rows = x[:29_200].reshape(400, 73)[::2]
        assert np.allclose(fastmath.matmul(rows.T, rows), rows.T @ rows)

    def test_not_aligned(self, np: Any) -> None:
        odd = np.zeros(9, dtype=[("a", "i1"), ("x", "f8")])["x"]
        odd[:] = range(9)
        assert fastmath.sum(odd) == 36.0
        with pytest.raises(ValueError, match="aligned"):
            fastmath.exp([1.0], out=np.zeros(1, dtype=[("a", "i1"), ("x", "f8")])["x"])

    def test_it_is_not_imported(self) -> None:
        code = (
            "import sys; from array import array; from sidewinder import fastmath, slowmath, Array\n"
            "fastmath.sum(array('d', [1, 2])); fastmath.exp(Array([1])); fastmath.evaluate('a + 1', a=[1, 2])\n"
            "assert 'numpy' not in sys.modules"
        )
        assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


class TestThreads:
    def test_the_gil_is_released(self) -> None:
        """With a switch interval of minutes another thread runs only when somebody lets go of the GIL."""
        grid = Array(random_matrix(300, 300))
        interval = sys.getswitchinterval()
        sys.setswitchinterval(600)
        try:
            for _ in range(200):  # the other thread may be scheduled too late, but not always
                order: list[str] = []
                started = threading.Lock()
                started.acquire()

                def work(order: list[str] = order, started: Any = started) -> None:
                    order.append("start")
                    started.release()
                    fastmath.diffuse(grid, 400, threads=1)
                    order.append("end")

                thread = threading.Thread(target=work)
                thread.start()
                started.acquire()
                order.append("meanwhile")
                thread.join()
                if order == ["start", "meanwhile", "end"]:
                    return
        finally:
            sys.setswitchinterval(interval)
        pytest.fail("nothing ran while diffuse() computed")

    def test_many_at_once(self) -> None:
        x = Array(random_values(60_000))
        a = Array(random_matrix(90, 90))
        sum_of_x, product = fastmath.sum(x), fastmath.matmul(a, a)
        wrong: list[str] = []

        def work(threads: int | None) -> None:
            for _ in range(20):
                if fastmath.sum(x, threads=threads) != sum_of_x:
                    wrong.append("sum")
                if fastmath.matmul(a, a, threads=threads) != product:
                    wrong.append("matmul")
                if fastmath.evaluate("x*2", x=x, threads=threads)[7] != 2 * x[7]:
                    wrong.append("evaluate")

        workers = [threading.Thread(target=work, args=(threads,)) for threads in (None, 1, 2, 3, 2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert wrong == []

    def test_texts_from_many_threads(self) -> None:
        wrong: list[int] = []

        def work(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(1500):
                i = rng.randrange(700)
                if fastmath.evaluate(f"a*2 + {i}", a=i) != 3 * i:
                    wrong.append(i)

        workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert wrong == []

    def test_after_a_fork(self) -> None:
        code = (
            "import os, warnings; warnings.simplefilter('ignore')\n"
            "from sidewinder import fastmath, Array\n"
            "x = Array(range(100_000)); total = fastmath.sum(x, threads=2)\n"
            "child = os.fork()\n"
            "right = fastmath.sum(x, threads=2) == total == 4999950000.0\n"
            "if child == 0: os._exit(0 if right else 1)\n"
            "assert right and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0"
        )
        assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0

    def test_in_another_interpreter(self, tmp_path: Path) -> None:
        name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
        interpreters = pytest.importorskip(name)
        # An editable install builds what has changed when it is imported, and such an interpreter may start no process:
        # it gets the files that are loaded here.
        (tmp_path / "sidewinder").mkdir()
        for module in ("sidewinder", "sidewinder.fastmath", "sidewinder._fastmath", "sidewinder._library"):
            file = Path(str(importlib.import_module(module).__file__))
            (tmp_path / "sidewinder" / file.name).symlink_to(file)
        other = interpreters.create()
        try:
            failure = interpreters.run_string(
                other,
                "import sys\n"
                "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in type(finder).__module__]\n"
                f"sys.path.insert(0, {str(tmp_path)!r})\n"
                "from sidewinder import fastmath, Array\n"
                "assert fastmath.evaluate('a + 1', a=Array([1, 2])).tolist() == [2, 3]\n"
                "assert fastmath.sum([1, 2], threads=2) == 3",
            )
            assert failure is None
        finally:
            interpreters.destroy(other)
        assert fastmath.sum([1, 2]) == 3


def every_call() -> list[Callable[[], Any]]:
    """Each function in the ways that end well and in those that do not, with arguments that live on between calls."""
    x, y = Array(random_values(2000)), Array(random_values(2000, seed=2))
    f32, ints, items = Array(x, "float32"), array("i", range(100)), [1.0, 2.0, 3.0]
    a, b = Array(random_matrix(20, 30)), Array(random_matrix(30, 10))
    out, product = Array([0.0] * 2000), Array([[0.0] * 10] * 20)
    grid = Array(random_matrix(30, 30))
    compiled = fastmath.compile("x*y + 1")
    counter = iter(range(10**9))

    def by_name(u: Array, v: Array) -> Any:  # noqa: ARG001 - found by their names
        return fastmath.evaluate("u + v")

    def assign() -> None:
        a[0, 0] = 1
        a[0] = [1.0] * 30
        a[1:3] = a[2:4]

    calls: list[Callable[[], Any]] = [
        lambda: [
            getattr(fastmath, n)(v)
            for n in [*REDUCTIONS, "minmax", "median", "summary"]
            for v in (x, x[::-2], f32, ints, items, b"abc")
        ],
        lambda: [fastmath.dot(x, v) for v in (y, f32, x[::-1])],
        lambda: (fastmath.corr(x, y), fastmath.linear_regression(x, y, threads=2)),
        lambda: (fastmath.quantile(x, 0.5), fastmath.quantile(ints, [0.1, 0.2])),
        lambda: (fastmath.histogram(x, 20), fastmath.histogram(f32, range=(0, 1))),
        lambda: (fastmath.ewma(x, 0.1), fastmath.ewma(x, 0.2, out=out)),
        lambda: (
            fastmath.exp(x),
            fastmath.log(f32),
            fastmath.exp(x, out=out, threads=2),
            fastmath.exp(2.0),
            fastmath.exp(ints),
        ),
        lambda: (fastmath.where(x, y, 0), fastmath.where(ints, 1, 2, out=out[:100])),
        lambda: (
            by_name(x, y),
            fastmath.evaluate("x*z", {"x": f32, "z": items[0]}),
            compiled(x=x, y=2, out=out),
        ),
        lambda: fastmath.evaluate(f"x + {next(counter)}", x=1),
        lambda: pickle.loads(pickle.dumps(compiled))(x=1, y=2),
        lambda: (
            fastmath.matmul(a, b),
            fastmath.matmul(a, b, product),
            fastmath.matmul(a, items * 10),
            fastmath.matmul(f32[:3], items),
        ),
        lambda: (fastmath.diffuse(grid, 3), fastmath.diffuse(grid, 2, out=grid, periodic=False)),
        lambda: (
            fastmath.mandelbrot(20, 10, iterations=20),
            fastmath.julia(1j, 5, 5, x=(0, 1)),
            fastmath.burning_ship(3, 3),
        ),
        lambda: (
            Array([[1, 2], [3, 4]]).T.reshape(4).copy().tolist(),
            Array(ints),
            repr(a),
            a == b,
            list(a),
            a[1, 2],
            a[::2, -1],
        ),
        lambda: (
            a.shape,
            a.strides,
            a.dtype,
            a.T,
            memoryview(a[::-1]).tolist(),
            pickle.loads(pickle.dumps(a, 5)),
            pickle.loads(pickle.dumps(a.T, 2)),
        ),
        assign,
    ]
    failures: list[Callable[[], Any]] = [
        lambda: fastmath.sum("abc"),
        lambda: fastmath.sum(x, threads=0),
        lambda: fastmath.sum(ints, threads="a"),  # type: ignore[arg-type]
        lambda: fastmath.sum([[1], [2, 3]]),
        lambda: fastmath.sum([1.0, "a"]),
        lambda: fastmath.sum(x, nothing=1),  # type: ignore[call-arg]
        lambda: fastmath.dot(ints, x),
        lambda: fastmath.dot(ints, "a"),
        lambda: fastmath.minmax([]),
        lambda: fastmath.quantile(ints, 2),
        lambda: fastmath.quantile(ints, [0.5, NAN]),
        lambda: fastmath.histogram([NAN, 1]),
        lambda: fastmath.histogram(x, range=(1,)),
        lambda: fastmath.ewma(x, 0.5, out=out[1:]),
        lambda: fastmath.exp(x, out=x[::-1]),
        lambda: fastmath.exp(ints, out=bytearray(8)),
        lambda: fastmath.exp(ints, out=items),  # type: ignore[call-overload]
        lambda: fastmath.where(ints, x, 0),
        lambda: fastmath.evaluate("x +"),
        lambda: fastmath.evaluate("x + missing", {"x": ints}),
        lambda: fastmath.evaluate("x + y", x=ints, y=x),
        lambda: fastmath.evaluate("x", x=ints, z=1),
        lambda: fastmath.evaluate("x + 1", x=x, out=out[:5]),
        lambda: fastmath.evaluate("x + 1", x=x[:-1], out=x[1:]),
        lambda: fastmath.matmul(a, a),
        lambda: fastmath.matmul(grid, grid, out=grid),
        lambda: fastmath.diffuse(x),
        lambda: fastmath.mandelbrot(4, 4, x=(1, "a")),  # type: ignore[arg-type]
        lambda: fastmath.mandelbrot(4, 4, out=x),
        lambda: a.reshape(7),
        lambda: a[99],
        lambda: a["a"],  # type: ignore[index]
        lambda: a.__setitem__(0, [1, 2]),
        lambda: Array([1], "no"),
        lambda: Array(x, "int64"),
        lambda: Array([2**40], "uint32"),
    ]

    def fails(call: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            try:
                call()
            except (TypeError, ValueError, NameError, IndexError, OverflowError, BufferError):
                return
            raise AssertionError("it did not fail")

        return run

    numpy = sys.modules.get("numpy")
    if numpy is not None:
        n, m = numpy.arange(100.0), numpy.ones((20, 30), "f4").T
        calls += [
            lambda: (
                fastmath.sum(n[::-1]),
                fastmath.exp(n),
                fastmath.evaluate("n + 1", n=m),
                fastmath.where(n > 3, n, 0),
            ),
            lambda: (fastmath.matmul(m, a), fastmath.quantile(n, [0.5]), fastmath.histogram(n), by_name(n, n)),
            lambda: fastmath.evaluate("n * 1", n=n, out=n),
        ]
        failures += [lambda: fastmath.sum(numpy.array([1j])), lambda: fastmath.exp(n, out=numpy.empty(3))]
    return calls + [fails(call) for call in failures]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class TestReferences:
    def test_500_rounds_of_everything_keep_nothing(self) -> None:
        calls = every_call()

        def rounds(count: int) -> tuple[int, int]:
            for _ in range(count):
                for call in calls:
                    call()
            gc.collect()
            return sys.getallocatedblocks(), resident_bytes()

        rounds(300)  # until the cache of expressions is full
        marks = [rounds(1)] + [rounds(500) for _ in range(3)]
        growth = [after[0] - before[0] for before, after in itertools.pairwise(marks)]
        assert min(growth) < 250, growth  # a reference lost once a round would be 500 blocks each time
        assert marks[-1][1] - marks[0][1] < 64 << 20

    def test_arguments_are_given_back(self) -> None:
        x, items, source = Array(range(100)), [1.0, 2.0], array("d", [1, 2, 3])
        names = {"a": x}
        before = [sys.getrefcount(thing) for thing in (x, items, source, names, Array)]
        for _ in range(50):
            fastmath.sum(x)
            fastmath.sum(items)
            fastmath.exp(source, out=source)
            fastmath.exp(x, out=x)
            fastmath.evaluate("a + 1", names)
            fastmath.where(x, x, x)
        assert [sys.getrefcount(thing) for thing in (x, items, source, names, Array)] == before
        source.append(4.0)  # its buffer is not held

    def test_a_buffer_is_held_while_it_is_read(self) -> None:
        source = array("d", range(200_000))
        stop = threading.Event()
        refused = 0

        def work() -> None:
            while not stop.is_set():
                fastmath.median(source)

        worker = threading.Thread(target=work)
        worker.start()
        deadline = time.monotonic() + 60
        while not refused and time.monotonic() < deadline:
            try:
                source.append(1.0)
                source.pop()
            except BufferError:
                refused += 1
        stop.set()
        worker.join()
        assert refused > 0


def test_the_examples_of_the_page() -> None:
    page = Path(__file__).resolve().parent.parent.parent / "docs/fastmath.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 10
    assert result.failed == 0


def test_compare_prints_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastmath_compare, "ROUNDS", 1)
    assert fastmath_compare.main(["--size", "2000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "plain Python" in lines[1]
    assert "x NumPy" in lines[1]
    assert len(lines) == 13
    assert all(" x" in line or "-" in line for line in lines[2:])
