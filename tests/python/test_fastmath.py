"""What the functions of sidewinder.fastmath have in common: arguments, buffers, NumPy; and its page."""

from __future__ import annotations

import ctypes
import doctest
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidewinder import Array, fastmath, fastmath_compare
from tests.python.fastmath_cases import near


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

    def test_buffers_of_ctypes(self) -> None:
        numbers = (ctypes.c_double * 4)(1, 2, 3, 4)
        assert fastmath.sum(numbers) == fastmath.sum(memoryview(numbers)[::-1]) == 10.0
        row = ctypes.c_float * 3
        assert fastmath.sum((row * 2)(row(1, 2, 3), row(4, 5, 6))) == 21.0
        assert fastmath.sum((ctypes.c_int16 * 2)(-7, 8)) == 1.0
        expected = fastmath.exp([1, 2, 3, 4]).tolist()
        with pytest.raises(ValueError, match="out overlaps x"):  # so it is read where it is, not from a copy
            fastmath.exp(memoryview(numbers)[::-1], out=numbers)
        assert fastmath.exp(numbers, out=numbers) is numbers
        assert list(numbers) == expected

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
