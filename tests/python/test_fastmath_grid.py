"""Matrix products, diffusion and fractals of sidewinder.fastmath against sidewinder.slowmath."""

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
    close,
    matrix_forms,
    near,
    random_matrix,
    random_values,
)


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

    def test_threads_of_two_vectors(self) -> None:
        x, y = Array(random_values(150_000)), Array(random_values(150_000, seed=2))
        assert {fastmath.matmul(x, y, threads=threads) for threads in (None, 1, 2, 5)} == {fastmath.dot(x, y)}
        with pytest.raises(ValueError, match="threads must lie in"):
            fastmath.matmul([1, 2], [3, 4], threads=0)
        with pytest.raises(TypeError, match="threads must be an int, not str"):
            fastmath.matmul([1, 2], [3, 4], threads="2")  # type: ignore[arg-type]

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
