"""sidewinder._pool: what the core of a pool does with jobs, lanes and workers that leave, most of it without processes."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidewinder import Pool, SharedArray, _pool
from sidewinder.pool_error import pack_error, unpack_error

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfds")

PATIENCE_S = 60.0  # a bound for what should happen at once
LIST, ORDERED, UNORDERED = range(3)
READY, IDLE = 0, 5
ONE = 0


def square(x: int) -> int:
    return x * x


def fail(x: int) -> int:
    raise LookupError(f"no {x}")


def leave_at_first(owner: int) -> int:
    if owner and os.getpid() != owner:
        os._exit(7)
    return owner


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def mark_and_wait(paths: tuple[str, str]) -> bool:
    """Makes the first file and waits for the second; False if that never came."""
    Path(paths[0]).touch()
    end = time.monotonic() + PATIENCE_S
    while not Path(paths[1]).exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: of threads, which the child has no use for
        return os.fork()


class Bench:
    """A core whose workers are calls of work() in this process."""

    def __init__(self, workers: int = 1) -> None:
        self.wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.segment = _pool.Segment(workers)
        self.core = _pool.Core(self.segment, self.wake_fd, -1, unpack_error)

    def job(self, kind: int, function: Callable[..., Any], items: Any, **options: Any) -> _pool.Job:
        return _pool.Job(kind, ONE, self.core.new_function(), pickle.dumps(function, 5), items, **options)

    def work(self, limit: int, lane: int = 0) -> int:
        return _pool.work(self.segment, lane, self.wake_fd, pack_error, gc.collect, limit)

    def pages(self) -> int:
        return os.fstat(self.segment.fd).st_blocks


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    os.close(made.wake_fd)


class Slow:
    """Pickles once it may."""

    def __init__(self) -> None:
        self.is_begun = threading.Event()
        self.may_end = threading.Event()

    def __reduce__(self) -> tuple[Any, ...]:
        self.is_begun.set()
        assert self.may_end.wait(PATIENCE_S)
        return (int, ())


class Interrupts:
    """Ctrl-C comes while it is pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise KeyboardInterrupt


class InterruptsLater:
    """Ctrl-C comes while it is loaded, and only the first time."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (interrupt_once, (pickle.PickleBuffer(bytearray(100_000)),))


was_interrupted = False


def interrupt_once(buffer: Any) -> int:
    global was_interrupted
    if not was_interrupted:
        was_interrupted = True
        raise KeyboardInterrupt
    return len(memoryview(buffer))


def interrupting(x: int) -> Any:
    return InterruptsLater() if x == 0 else x


class TestFeeding:
    def test_two_feeders_skip_no_job(self, bench: Bench) -> None:
        slow = Slow()
        first = bench.job(LIST, square, [slow])
        second = bench.job(LIST, square, list(range(100_000)))
        feeder = threading.Thread(target=bench.core.enqueue, args=(first,))
        feeder.start()
        assert slow.is_begun.wait(PATIENCE_S)
        bench.core.enqueue(second)  # as far as the lane goes
        assert 0 < second.fed < 100_000
        slow.may_end.set()
        feeder.join()
        assert first.fed == 1
        assert bench.core.take_queue() == [second]

    def test_what_is_cancelled_while_it_is_pickled_does_not_run(self, bench: Bench) -> None:
        slow = Slow()
        job = bench.job(LIST, square, [slow, 1])
        feeder = threading.Thread(target=bench.core.enqueue, args=(job,))
        feeder.start()
        assert slow.is_begun.wait(PATIENCE_S)
        bench.core.cancel(job)
        slow.may_end.set()
        feeder.join()
        assert (job.fed, job.done) == (1, 1)
        bench.core.take_queue()
        assert bench.core.run(None) == IDLE

    def test_ctrl_c_while_pickling_is_raised(self, bench: Bench) -> None:
        job = bench.job(LIST, square, [Interrupts(), 1], failure_type=None)
        with pytest.raises(KeyboardInterrupt):
            bench.core.feed(job)
        assert (job.fed, job.done) == (1, 1)
        assert type(job.results[0]) is KeyboardInterrupt

    def test_a_source_that_closes_its_stream_lives_until_it_yields(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost: list[Any] = []
        monkeypatch.setattr("sys.unraisablehook", lost.append)

        def items() -> Iterator[int]:
            yield 1
            bench.core.cancel(job)
            gc.collect()
            yield 2

        job = bench.job(ORDERED, square, items(), limit=10)
        bench.core.feed(job)
        assert job.is_cancelled
        assert (job.fed, lost) == (1, [])

    def test_ctrl_c_while_loading_a_result_fails_its_task(self, bench: Bench) -> None:
        global was_interrupted
        was_interrupted = False
        job = bench.job(LIST, interrupting, [0, 7], failure_type=None)
        bench.core.feed(job)
        assert bench.work(2) == 2
        with pytest.raises(KeyboardInterrupt):
            bench.core.run(job)
        assert bench.core.run(job) == READY
        assert type(job.results[0]) is KeyboardInterrupt
        assert job.results[1] == 7


class TestJob:
    def test_a_job_is_not_complete_before_its_result_is_there(self, bench: Bench) -> None:
        seen = []

        def failure(error: BaseException) -> BaseException:
            seen.append((job.done, job.is_complete))
            return error

        job = bench.job(UNORDERED, square, iter([1]), failure_type=failure)
        bench.core.feed(job)
        bench.core.fail(job, 0, LookupError("lost"))
        assert seen == [(0, False)]
        assert (job.done, job.is_complete) == (1, True)
        assert isinstance(job.take(), LookupError)

    def test_tries_are_counted_by_task_until_it_has_a_result(self, bench: Bench) -> None:
        job = bench.job(LIST, square, [1, 2], failure_type=None, retries=1)
        bench.core.feed(job)
        assert [job.note_try(0), job.note_try(0), job.note_try(1)] == [1, 2, 1]
        assert bench.job(LIST, square, [1]).note_try(0) == 1
        bench.core.fail(job, 0, LookupError("lost"))
        assert [job.note_try(0), job.note_try(1)] == [1, 2]
        with pytest.raises(TypeError, match="index must be an int"):
            job.note_try("0")  # type: ignore[arg-type]


class TestRetry:
    def test_a_lost_task_runs_again_unless_its_job_is_cancelled(self, bench: Bench) -> None:
        job = bench.job(LIST, leave_at_first, [os.getpid()], retries=1)
        bench.core.feed(job)
        self.lose(bench, job)
        bench.core.retry(job, 0, 0)
        bench.core.feed(job)
        assert bench.work(1) == 1
        assert bench.core.run(job) == READY
        assert job.results == [0]

        assert bench.core.died(0) is None  # the lane is new again
        job = bench.job(LIST, leave_at_first, [os.getpid()], retries=1)
        bench.core.feed(job)
        self.lose(bench, job)
        bench.core.cancel(job)
        assert job.done == 0
        bench.core.retry(job, 0, 0)
        assert job.done == 1
        assert bench.core.run(None) == IDLE

    def lose(self, bench: Bench, job: _pool.Job) -> None:
        pid = fork()
        if pid == 0:
            bench.work(1)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert bench.core.died(0) == (job, 0, False)


class TestOwner:
    def test_a_forked_child_may_not_touch_the_pool(self, bench: Bench) -> None:
        job = bench.job(LIST, square, [1, 2], failure_type=None)
        bench.core.feed(job)
        error = LookupError("lost")
        calls: list[Callable[[], object]] = [
            lambda: bench.core.run(None),
            bench.core.close,
            lambda: bench.core.abandon(error),
            lambda: bench.core.fail(job, 0, error),
            lambda: bench.core.retry(job, 0, 1),
        ]
        pid = fork()
        if pid == 0:
            refused = 0
            for call in calls:
                try:
                    call()
                except RuntimeError:
                    refused += 1
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == len(calls)
        assert bench.work(2) == 2  # and the lane is open
        assert bench.core.run(job) == READY
        assert job.results == [1, 4]


class TestLimit:
    @pytest.mark.parametrize("claim", [0, 5])
    def test_a_worker_that_leaves_has_begun_what_it_claimed(self, bench: Bench, claim: int) -> None:
        job = bench.job(LIST, square, list(range(20)), claim=claim)
        bench.core.feed(job)
        for done in (3, 6, 9):
            assert bench.work(3) == 3
            assert bench.core.died(0) is None
            assert job.done == done
            bench.core.feed(job)
        assert bench.work(11) == 11
        assert bench.core.run(job) == READY
        assert job.results == [x * x for x in range(20)]

    @pytest.mark.parametrize("chunksize", [None, 7])
    def test_no_task_is_lost_to_the_limit(self, chunksize: int | None) -> None:
        with Pool(2, start_method="fork", max_tasks_per_worker=5) as pool:
            assert pool.map(square, range(200), chunksize) == [x * x for x in range(200)]

    def test_shared_arrays_of_a_worker_at_its_limit_are_found(self) -> None:
        with Pool(2, start_method="fork", max_tasks_per_worker=1) as pool:
            for number, array in enumerate(pool.map(make_array, range(20))):
                assert memoryview(array)[0] == number


def make_array(number: int) -> SharedArray:
    array = SharedArray.create(1 << 16, "uint8")
    memoryview(array)[0] = number
    return array


class TestWaiting:
    def test_the_first_failure_ends_a_map_at_once(self, tmp_path: Path) -> None:
        begun, go = str(tmp_path / "begun"), tmp_path / "go"
        with Pool(1, start_method="fork") as pool:
            with pytest.raises(LookupError):
                pool.map(fail_or_wait, [(), (begun, str(go)), (begun, str(go)), (begun, str(go))], 1)
            assert not Path(begun + ".late").exists()
            go.touch()

    def test_a_result_that_cannot_be_loaded_ends_a_map_at_once(self, tmp_path: Path) -> None:
        begun, go = str(tmp_path / "begun"), tmp_path / "go"
        with Pool(1, start_method="fork") as pool:
            with pytest.raises(LookupError, match="no 1"):
                pool.map(explode_or_wait, [(), (begun, str(go)), (begun, str(go)), (begun, str(go))], 1)
            assert not Path(begun + ".late").exists()
            go.touch()

    def test_a_timeout_counts_while_another_thread_sleeps_in_the_core(self, tmp_path: Path) -> None:
        begun, also, go = tmp_path / "begun", tmp_path / "also", tmp_path / "go"
        raised: list[BaseException] = []

        def late() -> None:
            try:
                pool.map(mark_and_wait, [(str(also), str(go))], timeout=0.2)
            except TimeoutError as error:
                raised.append(error)

        with Pool(2, start_method="fork") as pool:
            sleeper = threading.Thread(target=pool.map, args=(mark_and_wait, [(str(begun), str(go))]))
            sleeper.start()
            until(begun.exists)
            until(pool._token.locked)
            time.sleep(0.05)  # so that it sleeps, most likely; if it does not, the test passes without having tested
            thread = threading.Thread(target=late)
            thread.start()
            thread.join(PATIENCE_S / 2)
            was_in_time = not thread.is_alive()
            go.touch()
            sleeper.join()
            thread.join()
        assert was_in_time
        assert len(raised) == 1


def fail_or_wait(paths: tuple[str, ...]) -> None:
    if not paths:
        fail(0)
    elif not mark_and_wait((paths[0], paths[1])):
        Path(paths[0] + ".late").touch()


class Explodes:
    """Pickles, and cannot be loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (fail, (1,))


def explode_or_wait(paths: tuple[str, ...]) -> Any:
    return fail_or_wait(paths) if paths else Explodes()


class Callable100K:
    """A function whose pickle travels in a block."""

    def __init__(self) -> None:
        self.weight = os.urandom(100_000)

    def __call__(self, x: int) -> int:
        return x * x


class TestMemory:
    def test_a_task_that_moves_leaves_no_block_behind(self) -> None:
        bench = Bench(2)
        job = bench.job(LIST, Callable100K(), [7])
        bench.core.feed(job)
        for lane in (0, 1):
            assert bench.core.died(lane) is None
            bench.core.feed(job)
        before = bench.pages()
        for number in range(50):
            assert bench.core.died(number % 2) is None
            bench.core.feed(job)
        assert bench.pages() == before
        bench.core.died(0)
        bench.core.died(1)
        bench.core.feed(job)
        assert bench.work(1, lane=0) == 1
        assert bench.core.run(job) == READY
        assert job.results == [49]
        os.close(bench.wake_fd)
