"""sidewinder.Array: its elements, views, buffer, and what it refuses."""

from __future__ import annotations

import copy
import ctypes
import gc
import pickle
import random
import sys
from array import array
from collections.abc import Iterator
from typing import Any

import pytest

import sidewinder
from sidewinder import Array, fastmath

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def cube() -> tuple[Array, list[list[list[float]]]]:
    items = [[[float(100 * i + 10 * j + k) for k in range(4)] for j in range(3)] for i in range(2)]
    return Array(items), items


class TestMaking:
    def test_it_is_the_package_s(self) -> None:
        assert Array.__module__ == "sidewinder"
        assert "Array" in dir(sidewinder)
        with pytest.raises(AttributeError, match="no attribute 'Arrays'"):
            sidewinder.Arrays  # type: ignore[attr-defined]  # noqa: B018

    def test_from_nested_lists(self) -> None:
        a = Array(ROWS)
        assert (a.shape, a.strides, a.ndim, a.size, a.itemsize, a.nbytes) == ((2, 3), (24, 8), 2, 6, 8, 48)
        assert (a.dtype, a.format, len(a)) == ("float64", "d", 2)
        assert a.tolist() == ROWS
        assert Array([(1, 2.5), [True, 7]]).tolist() == [[1.0, 2.5], [1.0, 7.0]]

    def test_from_iterables(self) -> None:
        assert Array(range(4)).tolist() == [0.0, 1.0, 2.0, 3.0]
        assert Array(i * 0.5 for i in range(3)).tolist() == [0.0, 0.5, 1.0]
        assert Array([]).tolist() == []
        assert Array([[], []]).shape == (2, 0)

    @pytest.mark.parametrize(
        ("code", "dtype"),
        [
            ("d", "float64"),
            ("f", "float32"),
            ("q", "int64"),
            ("l", "int64"),
            ("I", "uint32"),
            ("b", "float64"),
            ("H", "float64"),
        ],
    )
    def test_from_buffers(self, code: str, dtype: str) -> None:
        a = Array(array(code, [1, 2, 3]))
        assert a.dtype == dtype
        assert a.tolist() == [1, 2, 3]

    def test_from_ctypes(self) -> None:
        row = ctypes.c_float * 3
        a = Array((row * 2)(row(1, 2, 3), row(4, 5, 6)))
        assert (a.dtype, a.tolist()) == ("float32", ROWS)
        assert Array((ctypes.c_int64 * 2)(7, 8)).dtype == "int64"
        assert Array(ctypes.c_double(5)).tolist() == 5.0
        with pytest.raises(TypeError, match="'>d' holds no numbers"):
            Array((ctypes.c_double.__ctype_be__ * 2)(1, 2))

    @pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint32"])
    def test_dtypes(self, dtype: str) -> None:
        a = Array([[1, 2], [3, 4]], dtype)
        assert a.dtype == dtype
        assert a.tolist() == [[1, 2], [3, 4]]
        assert type(a[0, 0]) is (float if dtype.startswith("float") else int)
        assert Array(a, dtype="float64").tolist() == [[1.0, 2.0], [3.0, 4.0]]
        assert Array(a).dtype == dtype

    def test_a_copy_shares_nothing(self) -> None:
        source = array("d", [1, 2, 3])
        a, b = Array(source), Array(Array(source))
        source[0] = 9
        assert a.tolist() == b.tolist() == [1, 2, 3]

    def test_integers_keep_all_their_digits(self) -> None:
        big = 2**62 + 1
        assert Array([big, -big], "int64").tolist() == [big, -big]
        assert Array(array("q", [big])).tolist() == [big]

    @pytest.mark.parametrize(
        ("data", "dtype", "error", "text"),
        [
            ("123", None, TypeError, "not str"),
            ({1: 2}, None, TypeError, "not dict"),
            (None, None, TypeError, "not NoneType"),
            (["1"], None, TypeError, "real number, not str"),
            ([1, [2]], None, TypeError, "list"),
            ([[1], 2], None, TypeError, "int"),
            ([[1, 2], 3], None, TypeError, "expected a sequence of 2, as the first is, not int"),
            ([[[1, 2, 3]], [None]], None, TypeError, "expected a sequence of 3, as the first is, not NoneType"),
            ([[1, 2], [3]], None, ValueError, "different lengths: 1 items where the first has 2"),
            ([[[[[[[[[1]]]]]]]]], None, ValueError, "more than 8 dimensions"),
            ([1.5], "int64", TypeError, "float"),
            (array("d", [1.5]), "int64", TypeError, "without loss"),
            ([-1], "uint32", OverflowError, "-1 does not fit uint32"),
            ([2**32], "uint32", OverflowError, "uint32"),
            (array("q", [2**40]), "uint32", OverflowError, "uint32"),
            ([2**63], "int64", OverflowError, "int"),
            ([10**400], None, OverflowError, "int"),
            ([1], "complex128", ValueError, "'float64', 'float32', 'int64' or 'uint32'"),
            ([1], 8, TypeError, "dtype must be a str"),
        ],
    )
    def test_refused(self, data: Any, dtype: Any, error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text):
            Array(data, dtype)

    def test_a_list_that_holds_itself(self) -> None:
        endless: list[Any] = []
        endless.append(endless)
        with pytest.raises(ValueError, match="more than 8 dimensions"):
            Array(endless)

    def test_a_list_that_changes_while_it_is_read(self) -> None:
        class Shrinking:
            def __float__(self) -> float:
                values.clear()
                return 1.0

        values: list[Any] = [Shrinking() for _ in range(100)]
        assert Array(values).tolist() == [1.0] * 100

    def test_an_error_of_the_iterable_comes_through(self) -> None:
        def items() -> Iterator[float]:
            yield 1.0
            raise KeyError("the source broke")

        with pytest.raises(KeyError, match="the source broke"):
            Array(items())


class TestItems:
    def test_numbers_and_views(self) -> None:
        a, items = cube()
        for i in range(-2, 2):
            assert a[i].tolist() == items[i]
            for j in range(-3, 3):
                assert a[i, j].tolist() == a[i][j].tolist() == items[i][j]
                assert [a[i, j, k] for k in range(-4, 4)] == [items[i][j][k] for k in range(-4, 4)]

    def test_random_slices(self) -> None:
        rng = random.Random(3)
        a, items = cube()
        bounds: list[int | None] = [None, *range(-5, 6)]

        def some() -> slice:
            return slice(rng.choice(bounds), rng.choice(bounds), rng.choice([None, -3, -2, -1, 1, 2, 3]))

        for _ in range(2000):
            i, j, k = some(), some(), some()
            expected = [[row[k] for row in plane[j]] for plane in items[i]]
            part = a[i, j, k]
            assert part.tolist() == expected
            assert [[list(row) for row in plane] for plane in part] == expected
            assert part.copy().tolist() == part.T.T.tolist() == expected

    def test_ellipsis(self) -> None:
        a, items = cube()
        assert a[..., 1].tolist() == [[row[1] for row in plane] for plane in items]
        assert a[1, ..., 2].tolist() == [row[2] for row in items[1]]
        assert a[...].tolist() == items
        assert a[0, 0, ..., 0] == 0.0

    def test_extreme_slices(self) -> None:
        a = Array(range(5))
        huge = sys.maxsize
        assert a[::huge].tolist() == [0.0]
        assert a[::-huge].tolist() == [4.0]
        assert a[huge:].tolist() == []
        assert a[-huge:huge:2].tolist() == [0.0, 2.0, 4.0]

    @pytest.mark.parametrize("index", [2, -3, (0, 3), (0, 0, 0), (0, 0, 0, 0), 10**30])
    def test_out_of_bounds(self, index: Any) -> None:
        with pytest.raises(IndexError):
            Array(ROWS)[index]

    @pytest.mark.parametrize("index", ["x", 1.0, None, [0, 1], (0, "x")])
    def test_no_index(self, index: Any) -> None:
        with pytest.raises(TypeError, match="integers, slices and"):
            Array(ROWS)[index]

    def test_assignment(self) -> None:
        a = Array(ROWS)
        a[0, 1] = 7
        a[1] = [8, 9, 10]
        assert a.tolist() == [[1, 7, 3], [8, 9, 10]]
        a[:, ::2] = 0
        assert a.tolist() == [[0, 7, 0], [0, 9, 0]]
        a[:] = array("d", [1, 2, 3])
        assert a.tolist() == [[1, 2, 3]] * 2
        a[...] = [[5], [6]]
        assert a.tolist() == [[5] * 3, [6] * 3]
        a.T[0] = Array([1, 2])
        assert a.tolist() == [[1, 5, 5], [2, 6, 6]]

    def test_assignment_of_itself(self) -> None:
        a = Array(range(6))
        a[1:] = a[:-1]
        assert a.tolist() == [0, 0, 1, 2, 3, 4]
        a[:] = a[::-1]
        assert a.tolist() == [4, 3, 2, 1, 0, 0]

    def test_refused_assignments(self) -> None:
        a = Array(ROWS)
        with pytest.raises(ValueError, match=r"from shape \(2,\) into shape \(3,\)"):
            a[0] = [1, 2]
        with pytest.raises(TypeError, match="real number"):
            a[0, 0] = "1"
        with pytest.raises(TypeError, match="cannot be deleted"):
            del a[0]  # type: ignore[attr-defined]
        with pytest.raises(TypeError):
            Array([1], "int64")[0] = 1.5
        assert a.tolist() == ROWS


class TestShapes:
    def test_reshape(self) -> None:
        a = Array(range(12))
        assert a.reshape(3, 4).shape == a.reshape((3, 4)).shape == a.reshape(-1, 4).shape == (3, 4)
        assert a.reshape(2, 2, 3)[1, 1].tolist() == [9, 10, 11]
        a.reshape(3, 4)[0, 0] = 99
        assert a[0] == 99
        transposed = a.reshape(3, 4).T
        assert transposed.reshape(12).tolist() == [v for row in transposed.tolist() for v in row]
        assert Array([]).reshape(0, 5).shape == (0, 5)
        assert Array([7]).reshape(()).tolist() == 7

    @pytest.mark.parametrize("shape", [(5,), (-1, 5), (-1, -1), (-2,), (3, 3), (-1, 0), (2**40, 2**40)])
    def test_refused_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"reshape|no shape"):
            Array(range(12)).reshape(shape)
        with pytest.raises(ValueError, match="more than 8"):
            Array([1]).reshape((1,) * 9)

    def test_transposed(self) -> None:
        a, items = cube()
        assert a.T.shape == (4, 3, 2)
        assert a.T.strides == tuple(reversed(a.strides))
        assert a.T[3, 2, 1] == items[1][2][3]

    def test_no_dimensions(self) -> None:
        a = Array(5)
        assert (a.shape, a.size, a.tolist(), repr(a)) == ((), 1, 5.0, "Array(5.0, dtype='float64')")
        a[...] = 6
        assert a[()] == 6.0
        for wrong in (len, iter):
            with pytest.raises(TypeError, match="0 dimensions"):
                wrong(a)


class TestObject:
    def test_equality(self) -> None:
        a = Array(ROWS)
        assert a == Array(ROWS) == Array(ROWS, "float32") == Array(ROWS).copy()
        assert a != Array([[1, 2, 3], [4, 5, 7]])
        assert a != Array([1, 2, 3])
        assert a != ROWS
        assert Array([float("nan")]) != Array([float("nan")])
        assert Array([0.0]) == Array([-0.0])
        assert Array([2**62], "int64") != Array([2**62 + 1], "int64")
        assert a.T == Array([[1, 4], [2, 5], [3, 6]])
        with pytest.raises(TypeError, match="unhashable"):
            hash(a)

    def test_repr(self) -> None:
        assert repr(Array([1, 2.5])) == "Array([1.0, 2.5], dtype='float64')"
        assert repr(Array([[1], [2]], "uint32")) == "Array([[1], [2]], dtype='uint32')"
        assert repr(Array(range(1000)).reshape(10, 100)) == "<Array of shape (10, 100), dtype float64>"

    def test_views_keep_the_memory(self) -> None:
        a = Array(range(100_000))
        part = a[10:20][2:4]
        del a
        gc.collect()
        others = [Array(range(100_000)) for _ in range(3)]
        assert part.tolist() == [12.0, 13.0]
        del others

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle(self, protocol: int) -> None:
        for a in (
            Array(ROWS),
            Array(ROWS).T,
            Array([1, 2], "int64")[::-1],
            Array([]),
            Array(3),
            Array([[], []], "float32"),
        ):
            again = pickle.loads(pickle.dumps(a, protocol))
            assert again == a
            assert (again.shape, again.dtype) == (a.shape, a.dtype)
            again[...] = 0
            assert copy.copy(a) == copy.deepcopy(a) == a

    def test_pickle_out_of_band(self) -> None:
        buffers: list[pickle.PickleBuffer] = []
        a = Array(range(1000))
        data = pickle.dumps(a, 5, buffer_callback=buffers.append)
        assert len(data) < 200
        shared = pickle.loads(data, buffers=buffers)
        shared[0] = 5
        assert a[0] == 5  # one memory
        frozen = pickle.loads(data, buffers=[memoryview(buffers[0]).toreadonly()])
        with pytest.raises(TypeError, match="read-only"):
            frozen[0] = 1
        assert memoryview(frozen).readonly
        with pytest.raises(ValueError, match="out is read-only"):
            fastmath.exp(frozen, out=frozen)
        with pytest.raises((ValueError, TypeError)):
            pickle.loads(data, buffers=[b"123"])


class TestBuffer:
    def test_memoryview(self) -> None:
        a, items = cube()
        view: Any = memoryview(a)
        assert (view.format, view.shape, view.strides, view.readonly) == ("d", a.shape, a.strides, False)
        assert view.tolist() == items
        view[1, 2, 3] = -1
        items[1][2][3] = -1
        view = memoryview(a[:, ::2, ::-1])
        assert view.tolist() == [[row[::-1] for row in plane[::2]] for plane in items]
        assert a[1, 2, 3] == -1
        assert bytes(a[0, 0]) == array("d", items[0][0]).tobytes()

    def test_what_needs_contiguous_memory(self) -> None:
        a = Array(ROWS)
        with pytest.raises((BufferError, TypeError, ValueError)):
            array("d").frombytes(a.T)
        target = bytearray(48)
        target[:] = a
        assert array("d", target).tolist() == [1, 2, 3, 4, 5, 6]

    def test_numpy_shares_the_memory(self) -> None:
        np = pytest.importorskip("numpy")
        for dtype in ("float64", "float32", "int64", "uint32"):
            a = Array([[1, 2, 3], [4, 5, 6]], dtype)
            shared = np.asarray(a)
            assert shared.dtype == dtype
            shared[0, 0] = 9
            assert a[0, 0] == 9
            assert np.array_equal(np.asarray(a.T[::-1]), shared.T[::-1])
            assert Array(shared.T).tolist() == shared.T.tolist()
            assert Array(shared).dtype == dtype
        assert Array(np.arange(3, dtype="int8")).dtype == "float64"
        assert Array(np.float32([1, 2])[::-1]).tolist() == [2, 1]
        assert Array(np.float64(3)).shape == ()
        odd = np.zeros(3, dtype=[("a", "i1"), ("x", "f8")])["x"]  # not aligned
        odd[:] = [1, 2, 3]
        assert Array(odd).tolist() == [1, 2, 3]
        for wrong in (np.array([1j]), np.array(["a"]), np.array([None]), np.zeros(2, dtype=">f8"), np.zeros(2, "f2")):
            with pytest.raises(TypeError, match="convert it to float64"):
                Array(wrong)
