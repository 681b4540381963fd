"""Reductions and statistics of sidewinder.fastmath against sidewinder.slowmath on random data in any strides."""

from __future__ import annotations

import math
from array import array
from typing import Any

import pytest

from sidewinder import Array, fastmath, slowmath
from tests.python.fastmath_cases import (
    DTYPES,
    INF,
    NAN,
    REDUCTIONS,
    SIZES,
    close,
    matrix_forms,
    near,
    random_matrix,
    random_values,
    vector_forms,
)


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

    @pytest.mark.parametrize("count", SIZES[3:])
    def test_of_two_dtypes(self, count: int) -> None:
        wide, narrow = random_values(count), random_values(count, "float32", 2)
        x, y, z = Array(wide), Array(narrow, "float32"), Array(narrow)
        for function in (fastmath.dot, fastmath.corr, fastmath.linear_regression):
            assert function(x, y) == function(x, z)
            assert function(y[::-1], x) == function(z[::-1], x)
            assert function(x[::2], y[::2], threads=2) == function(x[::2], z[::2])

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
        counts, edges = fastmath.histogram([1e15], 2)
        assert (counts.tolist(), edges.tolist()) == slowmath.histogram([1e15], 2)
        for ends in (None, (1e17, 1e17)):  # half a unit is nothing here
            with pytest.raises(ValueError, match=r"the range \[1e\+17, 1e\+17\] .* cannot be widened"):
                fastmath.histogram([1e17], range=ends)
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
