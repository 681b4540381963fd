"""sidewinder.SharedArray: what it holds, who sees it, and what is left of it."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidewinder import Pool, SharedArray, shared_array
from sidewinder.shared_array import FOLDER, PREFIX

pytestmark = pytest.mark.skipif(not FOLDER.is_dir() or not hasattr(os, "memfd_create"), reason="needs /dev/shm")

TYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "complex64",
    "complex128",
]  # fmt: skip


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2, start_method="fork") as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"test-{os.getpid()}"


def path_of(name: str) -> Path:
    return FOLDER / (PREFIX + name)


def identity(value: Any) -> Any:
    return value


def put(shared: SharedArray, at: int, value: float) -> None:
    view: Any = memoryview(shared)
    view[at] = value


def put_view(view: Any) -> None:
    view[0] = 42


def make(count: int) -> SharedArray:
    shared = SharedArray.create(count)
    put(shared, count - 1, float(count))
    return shared


made: list[SharedArray] = []


def keep_named(name: str) -> None:
    made.append(SharedArray.create(5, name=name))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class TestContent:
    def test_zeros_of_a_shape(self) -> None:
        shared = SharedArray.create((2, 3))
        assert shared.tolist() == [[0.0] * 3] * 2
        assert (shared.shape, shared.dtype, shared.nbytes, len(shared)) == ((2, 3), "float64", 48, 2)
        memoryview(shared)[1, 2] = 5
        assert shared.tolist()[1][2] == 5.0
        assert repr(shared) == "<SharedArray shape=(2, 3) dtype=float64>"

    @pytest.mark.parametrize("dtype", TYPES)
    def test_types_are_numpys(self, dtype: str) -> None:
        numpy = pytest.importorskip("numpy")
        shared = SharedArray.create(3, numpy.dtype(dtype))
        view = shared.numpy()
        assert (view.dtype, view.shape, shared.dtype) == (numpy.dtype(dtype), (3,), dtype)
        view[1] = 1
        assert shared.numpy()[1] == 1
        assert SharedArray.create(1, numpy.dtype(dtype).type).dtype == dtype

    def test_python_types_and_letters(self) -> None:
        assert [SharedArray.create(1, kind).dtype for kind in (float, int, bool, complex, "d", "q")] == [
            "float64", "int64", "bool", "complex128", "float64", "int64",
        ]  # fmt: skip

    @pytest.mark.parametrize("shape", [0, (0, 3), ()])
    def test_shapes_without_extent(self, shape: Any) -> None:
        shared = SharedArray.create(shape)
        assert shared.shape == ((0,) if shape == 0 else shape)
        assert memoryview(shared).nbytes == (8 if shape == () else 0)

    @pytest.mark.parametrize(("shape", "lists"), [((0, 3), []), ((2, 0), [[], []]), ((2, 0, 1), [[], []]), (0, [])])
    @pytest.mark.parametrize("dtype", ["float64", "complex64"])
    def test_lists_without_elements(self, shape: Any, lists: Any, dtype: str) -> None:
        assert SharedArray.create(shape, dtype).tolist() == lists

    @pytest.mark.parametrize("dtype", ["complex64", "complex128"])
    def test_lists_of_complex_numbers(self, dtype: str) -> None:
        shared = SharedArray.create((2, 1, 2), dtype)
        letter = "f" if dtype == "complex64" else "d"
        memoryview(shared).cast("B")[:] = array(letter, range(8)).tobytes()
        assert shared.tolist() == [[[1j, 2 + 3j]], [[4 + 5j, 6 + 7j]]]
        assert SharedArray.create((), dtype).tolist() == 0j

    def test_copy_of(self) -> None:
        assert SharedArray.copy_of(array("l", [1, 2, 3])).tolist() == [1, 2, 3]
        assert SharedArray.copy_of(b"abc").dtype == "uint8"
        with pytest.raises(BufferError):
            SharedArray.copy_of(memoryview(b"abcdef")[::2])

    @pytest.mark.parametrize(
        ("shape", "dtype", "error"), [(-1, "d", ValueError), (1, "text", TypeError), ((2,) * 17, "d", ValueError)]
    )
    def test_wrong_arguments(self, shape: Any, dtype: str, error: type[Exception]) -> None:
        before = descriptors()
        with pytest.raises(error):
            SharedArray.create(shape, dtype)
        assert descriptors() == before

    def test_the_memory_lives_as_long_as_a_view(self) -> None:
        shared = SharedArray.create(10)
        view = memoryview(shared)
        with pytest.raises(BufferError):
            shared.close()
        with shared:
            pass
        del shared
        view[3] = 7
        assert view[3] == 7

    def test_closed(self) -> None:
        shared = SharedArray.create(10)
        shared.close()
        shared.close()
        assert shared.closed
        with pytest.raises(ValueError, match="closed"):
            memoryview(shared)
        with pytest.raises(ValueError, match="closed"):
            pickle.dumps(shared)

    def test_nothing_is_left(self) -> None:
        gc.collect()
        before = descriptors()
        for _ in range(50):
            with SharedArray.create(1000) as shared:
                put(shared, 5, 1)
        assert descriptors() == before


class TestInAPool:
    def test_is_the_same_memory(self, pool: Pool) -> None:
        shared = SharedArray.create(1000)
        pool.starmap(put, [(shared, i, i) for i in range(1000)], 1)
        assert shared.tolist() == list(range(1000))

    def test_comes_back_as_itself(self, pool: Pool) -> None:
        shared = SharedArray.create(1000)
        assert pool.apply(identity, (shared,)) is shared

    def test_made_by_a_worker(self, pool: Pool) -> None:
        results = pool.map(make, range(1, 300), 1)
        assert [memoryview(shared)[-1] for shared in results] == list(range(1, 300))

    def test_what_a_worker_made_goes_with_its_last_user(self, pool: Pool) -> None:
        results = pool.map(make, range(1, 10), 1)
        watched = [weakref.ref(shared) for shared in results]
        del results
        gc.collect()
        assert [shared() for shared in watched] == [None] * 9

    def test_a_name_a_worker_made_goes_with_the_worker(self, name: str) -> None:
        with Pool(1, start_method="fork") as pool:
            pool.apply(keep_named, (name,))
            assert path_of(name).exists()
        assert not path_of(name).exists()

    def test_arguments_live_until_they_are_read(self, pool: Pool) -> None:
        assert [len(shared) for shared in pool.imap(identity, (SharedArray.create(i) for i in range(500)))] == list(
            range(500)
        )
        futures = [pool.submit(identity, SharedArray.create(i)) for i in range(100)]
        assert [len(future.result(60)) for future in futures] == list(range(100))

    def test_numpy_views_are_not_copied(self, pool: Pool) -> None:
        pytest.importorskip("numpy")
        shared = SharedArray.create(100_000)
        pool.apply(put_view, (shared.numpy()[50_000:],))
        assert memoryview(shared)[50_000] == 42
        back = pool.apply(identity, (shared.numpy()[10_000:90_000],))
        back[0] = 9
        assert memoryview(shared)[10_000] == 9

    def test_gone_before_it_was_read_is_that_tasks_error(self, pool: Pool) -> None:
        shared = SharedArray.create(10)
        packed = pickle.dumps(shared)
        del shared
        with pytest.raises(FileNotFoundError, match="gone"):
            pool.apply(pickle.loads, (packed,))


class TestNames:
    def test_attach(self, name: str) -> None:
        with SharedArray.create((3, 4), "int32", name=name) as owner:
            other = SharedArray.attach(name)
            memoryview(other)[2, 3] = 8
            assert owner.tolist()[2][3] == 8
            assert (owner.is_owner, other.is_owner, other.shape, other.dtype) == (True, False, (3, 4), "int32")
            other.unlink()
            del other
            assert path_of(name).exists()
            with pytest.raises(FileExistsError):
                SharedArray.create(1, name=name)
        assert not path_of(name).exists()
        with pytest.raises(FileNotFoundError):
            SharedArray.attach(name)

    def test_the_name_goes_with_the_owner(self, name: str) -> None:
        owner = SharedArray.create(5, name=name)
        other = SharedArray.attach(name)
        del owner
        assert not path_of(name).exists()
        put(other, 0, 3)
        assert memoryview(other)[0] == 3

    def test_others_do_not_remove_it(self, name: str) -> None:
        """A process that only attached, and a forked copy of the owner, end without touching the name."""
        owner = SharedArray.create(5, name=name)
        for attaches in (True, False):
            pid = os.fork()
            if pid == 0:
                if attaches:
                    put(SharedArray.attach(name), 1, 6)
                owner.unlink()
                os._exit(0)
            os.waitpid(pid, 0)
        assert path_of(name).exists()
        assert memoryview(owner)[1] == 6
        owner.unlink()

    def test_what_a_killed_owner_left_is_removed(self, name: str) -> None:
        pid = os.fork()
        if pid == 0:
            kept = SharedArray.create(5, name=name)
            put(kept, 0, 1)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert path_of(name).exists()
        with SharedArray.create(6, name=name) as mine:
            assert mine.tolist() == [0.0] * 6

    def test_a_live_array_is_not_removed_for_the_stale_one_before(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two processes find what a killed one left; the slower must not remove what the faster has put there."""
        pid = os.fork()
        if pid == 0:
            kept = SharedArray.create(5, name=name)
            put(kept, 0, 1)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        live: list[SharedArray] = []
        start_time = shared_array._start_time

        def be_overtaken(asked: int) -> str | None:
            if asked == pid and not live:
                path_of(name).unlink()
                monkeypatch.setattr(shared_array, "_start_time", start_time)
                live.append(SharedArray.create(6, name=name))
            return start_time(asked)

        monkeypatch.setattr(shared_array, "_start_time", be_overtaken)
        with pytest.raises(FileExistsError):
            SharedArray.create(7, name=name)
        assert SharedArray.attach(name).shape == (6,)
        live[0].unlink()

    @pytest.mark.parametrize("wrong", ["", "a/b", "a\0b"])
    def test_wrong_names(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="name"):
            SharedArray.create(1, name=wrong)

    def test_another_file_is_not_an_array(self, name: str) -> None:
        path_of(name).write_bytes(b"something else")
        try:
            with pytest.raises(ValueError, match="not a shared array"):
                SharedArray.attach(name)
        finally:
            path_of(name).unlink()
