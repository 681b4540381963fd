"""sidewinder.Pool: results, errors, deaths, back-pressure and the end, under both start methods."""

from __future__ import annotations

import concurrent.futures
import ctypes
import faulthandler
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sidewinder import Pool, SharedArray
from sidewinder.pool import AsyncResult, BrokenPool, RemoteTraceback, WorkerDied
from sidewinder.pool_progress import Bar

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfds")

Run = Callable[[str, str], "subprocess.Popen[str]"]
PATIENCE_S = 60.0  # a bound for what should happen at once


def square(x: int) -> int:
    return x * x


def identity(value: Any) -> Any:
    return value


def die(how: str) -> str:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segfault":
        faulthandler.disable()
        ctypes.string_at(0)
    if how == "exit":
        os._exit(7)
    return how


def fail(x: int) -> int:
    raise LookupError(f"no {x}")


class UnpicklableError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"told {first} and {second}")


def fail_oddly(kind: str) -> None:
    if kind == "unpicklable":
        raise UnpicklableError(1, 2)
    if kind == "exit":
        sys.exit(3)
    raise KeyboardInterrupt


class Refuses:
    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("not this one")


class Explodes:
    """Pickles, and cannot be loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (fail, (1,))


def refusing(x: int) -> Any:
    return Refuses() if x == 1 else x


def exploding(x: int) -> Any:
    return Explodes() if x == 1 else x


def pid_of(_: object) -> int:
    return os.getpid()


def wait_for(path: str) -> str:
    while not Path(path).exists():
        time.sleep(0.001)
    return path


def mark_and_wait(paths: tuple[str, str]) -> int:
    Path(paths[0]).write_text(str(os.getpid()))
    wait_for(paths[1])
    return os.getpid()


def fail_until(path: str) -> str:
    """Kills its worker, once for each missing mark."""
    for number in range(2):
        mark = Path(f"{path}.{number}")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return "at last"


def sleep_if(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def promptly(call: Callable[[], Any]) -> Any:
    """What the call returns or raises, made in another thread, as it might hang."""
    outcome: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    threading.Thread(target=run, daemon=True).start()
    until(lambda: len(outcome) > 0)
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


class Slow:
    """Pickles as its number, once it may. Stays in this process."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_reached = threading.Event()
        self.may_go = threading.Event()

    def __reduce__(self) -> tuple[Any, ...]:
        self.is_reached.set()
        assert self.may_go.wait(PATIENCE_S)
        return (int, (self.number,))


class Meddled:
    """A pool's core of which some methods do something else."""

    def __init__(self, core: Any, **methods: Callable[..., Any]) -> None:
        self.core = core
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends between open and read
        return True


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2, start_method="fork") as made:
        yield made


class TestResults:
    @pytest.mark.parametrize("chunksize", [None, 1, 7, 1000])
    def test_map_keeps_order(self, pool: Pool, chunksize: int | None) -> None:
        assert pool.map(square, range(5000), chunksize) == [x * x for x in range(5000)]

    def test_more_than_the_rings_hold(self, pool: Pool) -> None:
        texts = [str(i) * (i % 3000) for i in range(3000)]
        assert pool.map(identity, texts) == texts

    def test_empty(self, pool: Pool) -> None:
        assert pool.map(square, []) == []
        assert list(pool.imap(square, [])) == []
        assert list(pool.imap_unordered(square, iter(()))) == []
        assert pool.map_async(square, []).get() == []

    def test_starmap_and_apply(self, pool: Pool) -> None:
        assert pool.starmap(divmod, [(7, 2), [9, 4]]) == [(3, 1), (2, 1)]
        assert pool.apply(int, ("ff",), {"base": 16}) == 255
        assert pool.apply(os.getpid) != os.getpid()

    def test_imap(self, pool: Pool) -> None:
        assert list(pool.imap(square, iter(range(3000)))) == [x * x for x in range(3000)]
        assert sorted(pool.imap_unordered(square, range(3000), 5)) == [x * x for x in range(3000)]

    def test_streams_of_streams(self, pool: Pool) -> None:
        doubled = pool.imap(square, pool.imap(square, range(500)))
        assert list(doubled) == [x**4 for x in range(500)]

    @pytest.mark.parametrize(
        "value",
        [
            None, True, False, 0, -129, 127, 128, 2**63 - 1, -(2**63), 2**63, 2**200, 1.5, float("inf"), "", "é" * 50_000,
            "\ud800", b"", b"x" * 200_000, (), (1, ("a", (None, 2.5))), [1, [2]], {"a": {1}}, bytearray(100_000),
            tuple(range(300)), "x" * 7000, "x" * 8100, "x" * 9000, "x" * 70_000,
        ],
        ids=lambda value: f"{type(value).__name__}{len(value) if hasattr(value, '__len__') else value}"[:24],
    )  # fmt: skip
    def test_values_come_back_as_they_went(self, pool: Pool, value: Any) -> None:
        first, (second,), third = pool.map(identity, [value, (value,), value])
        assert first == second == third == value
        assert type(first) is type(second) is type(value)

    def test_one_value_twice_stays_one(self, pool: Pool) -> None:
        inner: list[int] = []
        first, second = pool.apply(identity, ((inner, inner),))
        assert first is second

    def test_deep_tuples(self, pool: Pool) -> None:
        value: Any = 1
        for _ in range(50):
            value = (value, "x")
        assert pool.apply(identity, (value,)) == value

    def test_lambdas_and_closures_travel_by_value(self, pool: Pool) -> None:
        add = 5

        def affine(x: int, by: int = 2) -> int:
            return x * by + add

        assert pool.map(affine, [1, 2]) == [7, 9]
        assert pool.map(lambda x: x - add, [1, 2]) == [-4, -3]

    def test_bound_methods_and_builtins(self, pool: Pool) -> None:
        assert pool.map("-".join, [["a", "b"]]) == ["a-b"]
        assert pool.map(len, ["abc"]) == [3]

    def test_a_changed_callable_is_sent_again(self, pool: Pool) -> None:
        counter = Adder(1)
        assert pool.apply(counter, (1,)) == 2
        counter.by = 10
        assert pool.apply(counter, (1,)) == 11

    def test_a_method_of_a_changed_object_is_sent_again(self, pool: Pool) -> None:
        numbers = {"a": 1}
        assert pool.map(numbers.get, ["a"]) == [1]
        numbers["a"] = 2
        assert pool.map(numbers.get, ["a"]) == [2]

    def test_many_functions(self, pool: Pool) -> None:
        assert [pool.apply(Adder(i), (1,)) for i in range(200)] == [i + 1 for i in range(200)]

    def test_a_function_too_large_for_a_ring(self, pool: Pool) -> None:
        assert pool.map(Adder(1, b"x" * 300_000), [1, 2]) == [2, 3]

    def test_tasks_run_at_the_same_time(self, tmp_path: Path) -> None:
        one, other = str(tmp_path / "one"), str(tmp_path / "other")
        with Pool(2, start_method="fork") as pool:
            assert len(set(pool.map(meet, [(one, other), (other, one)]))) == 2

    def test_what_waits_behind_a_long_task_moves(self, tmp_path: Path) -> None:
        gate = str(tmp_path / "gate")
        with Pool(2, start_method="fork") as pool:
            tasks: list[Any] = [gate, *([None] * 200)]
            stream = pool.imap_unordered(open_gate, [(task, gate, index) for index, task in enumerate(tasks)], 1)
            assert len(list(stream)) == 201


class Adder:
    def __init__(self, by: int, ballast: bytes = b"") -> None:
        self.by = by
        self.ballast = ballast

    def __call__(self, x: int) -> int:
        return x + self.by


def meet(paths: tuple[str, str]) -> int:
    """Returns once the other task has begun."""
    Path(paths[0]).touch()
    wait_for(paths[1])
    return os.getpid()


def open_gate(task: tuple[str | None, str, int]) -> int:
    """The first task waits for the last one."""
    waits, gate, index = task
    if waits:
        wait_for(gate)
    elif index == 200:
        Path(gate).touch()
    return index


class TestErrors:
    def test_the_exception_and_its_traceback(self, pool: Pool) -> None:
        with pytest.raises(LookupError, match="no 3") as caught:
            pool.map(fail, [3])
        assert isinstance(caught.value.__cause__, RemoteTraceback)
        assert 'raise LookupError(f"no {x}")' in str(caught.value.__cause__)

    def test_the_pool_goes_on(self, pool: Pool) -> None:
        for _ in range(50):
            with pytest.raises(LookupError):
                pool.map(fail, range(100))
            assert pool.map(square, [2]) == [4]

    def test_exceptions_as_results(self, pool: Pool) -> None:
        results = pool.map(reciprocal, [1, 0, 2], return_exceptions=True)
        assert results[::2] == [1.0, 0.5]
        assert isinstance(results[1], ZeroDivisionError)

    def test_a_stream_goes_on_behind_an_error(self, pool: Pool) -> None:
        stream = pool.imap(reciprocal, [1, 0, 2])
        assert next(stream) == 1
        with pytest.raises(ZeroDivisionError):
            next(stream)
        assert next(stream) == 0.5
        with pytest.raises(StopIteration):
            next(stream)

    @pytest.mark.parametrize("kind", ["unpicklable", "exit", "interrupt"])
    def test_odd_exceptions(self, pool: Pool, kind: str) -> None:
        names = {"unpicklable": "UnpicklableError", "exit": "SystemExit", "interrupt": "KeyboardInterrupt"}
        with pytest.raises(RuntimeError, match=names[kind]):
            pool.map(fail_oddly, [kind])

    def test_what_cannot_be_pickled_is_that_tasks_error(self, pool: Pool) -> None:
        results = pool.map(identity, [1, Refuses(), 3], return_exceptions=True)
        assert results[::2] == [1, 3]
        assert "not this one" in str(results[1])
        results = pool.map(refusing, [0, 1, 2], return_exceptions=True)
        assert results[::2] == [0, 2]
        assert "not this one" in str(results[1])

    def test_what_cannot_be_loaded_is_that_tasks_error(self, pool: Pool) -> None:
        items: list[Any] = [0, Explodes(), 2]
        for results in (
            pool.map(identity, items, return_exceptions=True),
            pool.map(exploding, [0, 1, 2], return_exceptions=True),
        ):
            assert results[::2] == [0, 2]
            assert isinstance(results[1], LookupError)

    def test_a_function_that_cannot_be_loaded(self, pool: Pool) -> None:
        results = pool.map(Explodes(), [1, 2], return_exceptions=True)  # type: ignore[arg-type, var-annotated]
        assert [type(result) for result in results] == [LookupError, LookupError]

    def test_a_function_that_cannot_be_pickled(self, pool: Pool) -> None:
        lock = threading.Lock()
        with pytest.raises(TypeError, match="lock"):
            pool.map(lambda x: (x, lock), [1])

    def test_the_sources_error_is_raised(self, pool: Pool) -> None:
        def numbers() -> Iterator[int]:
            yield 1
            raise LookupError("no more")

        with pytest.raises(LookupError, match="no more"):
            pool.map(square, numbers())
        stream = pool.imap(square, numbers())
        assert next(stream) == 1
        with pytest.raises(LookupError, match="no more"):
            next(stream)
        assert list(stream) == []
        assert pool.map(square, [3]) == [9]

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"workers": 0}, "at least 1"),
            ({"start_method": "spawn"}, "start method"),
            ({"timeout": 0}, "above 0"),
            ({"max_tasks_per_worker": 0}, "at least 1"),
        ],
    )
    def test_wrong_arguments(self, arguments: dict[str, Any], text: str) -> None:
        with pytest.raises(ValueError, match=text):
            Pool(**{"workers": 1, **arguments})

    def test_wrong_chunksize(self, pool: Pool) -> None:
        with pytest.raises(ValueError, match="chunksize"):
            pool.map(square, [1], 0)


def reciprocal(x: int) -> float:
    return 1 / x


class TestDeaths:
    @pytest.mark.parametrize(
        ("how", "signal_number", "exitcode"),
        [("kill", signal.SIGKILL, None), ("segfault", signal.SIGSEGV, None), ("exit", None, 7)],
    )
    def test_costs_the_one_task(self, pool: Pool, how: str, signal_number: int | None, exitcode: int | None) -> None:
        tasks = ["a", how, *"bcdefgh"] * 3
        results = pool.map(die, tasks, return_exceptions=True)
        for task, result in zip(tasks, results, strict=True):
            if task == how:
                assert isinstance(result, WorkerDied)
                assert (result.signal, result.exitcode) == (signal_number, exitcode)
            else:
                assert result == task
        assert pool.map(square, [5]) == [25]

    def test_names_signal_and_task(self, pool: Pool) -> None:
        with pytest.raises(WorkerDied, match=r"SIGKILL.*task 0"):
            pool.map(die, ["kill"])

    def test_of_an_idle_worker_costs_nothing(self, pool: Pool) -> None:
        assert pool.map(square, range(10)) == [x * x for x in range(10)]
        until(lambda: len(pool.pids) == 2)
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert pool.map(square, range(100)) == [x * x for x in range(100)]

    @pytest.mark.parametrize("chunksize", [None, 1, 50])
    def test_in_the_middle_of_a_claim(self, pool: Pool, chunksize: int | None) -> None:
        """Tasks behind the one that died, claimed with it, run elsewhere; those before it keep their results."""
        tasks = [*(["x"] * 100), "exit", *(["y"] * 100)]
        results = pool.map(die, tasks, chunksize, return_exceptions=True)
        assert [i for i, result in enumerate(results) if isinstance(result, Exception)] == [100]
        assert results[:100] == ["x"] * 100
        assert results[101:] == ["y"] * 100

    def test_retries(self, tmp_path: Path) -> None:
        with Pool(2, start_method="fork", retries=2) as pool:
            assert pool.map(fail_until, [str(tmp_path / "a"), str(tmp_path / "b")]) == ["at last"] * 2
        with Pool(1, start_method="fork", retries=1) as pool:
            with pytest.raises(WorkerDied, match="attempt 2"):
                pool.map(die, ["kill"])

    def test_retries_are_counted_for_each_task(self, tmp_path: Path) -> None:
        """Also where a job lies in memory where the one before lay."""
        with Pool(1, start_method="fork", retries=1) as pool:
            for number in range(6):
                assert pool.apply(die_once, (str(tmp_path / str(number)),)) == 1

    def test_a_retry_that_cannot_be_written_is_that_tasks_error(self, tmp_path: Path) -> None:
        started, gate = tmp_path / "started", tmp_path / "gate"
        with Pool(1, start_method="fork", retries=1) as pool:
            array = SharedArray.create(10)
            future = pool.submit(die_at, str(started), str(gate), array)
            until(started.exists)
            array.close()
            gate.touch()
            with pytest.raises(ValueError, match="closed"):
                future.result(PATIENCE_S)
            assert pool.submit(square, 3).result(PATIENCE_S) == 9

    def test_ctrl_c_at_a_burial_does_not_lose_the_worker(self) -> None:
        pool = Pool(1, start_method="fork")
        core = pool._core
        interrupts = [KeyboardInterrupt()]

        def died(lane: int) -> Any:
            if interrupts:
                raise interrupts.pop()
            return core.died(lane)

        pool._core = Meddled(core, died=died)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            promptly(lambda: pool.map(die, ["kill"]))
        assert promptly(lambda: pool.map(square, [3])) == [9]
        pool.terminate()

    def test_worker_with_a_large_argument(self, pool: Pool) -> None:
        numpy = pytest.importorskip("numpy")
        array = numpy.zeros(100_000)
        for _ in range(8):
            results = pool.map(die_with, [array, None, array], return_exceptions=True)
            assert isinstance(results[1], WorkerDied)
            assert results[0] == results[2] == 100_000

    def test_a_task_without_end_times_out(self, pool: Pool) -> None:
        """Only tasks that cannot end: how long others take here is the machine's affair."""
        results = pool.map(sleep_if, [3600, 3600, 3600], timeout=0.1, return_exceptions=True)
        assert all(isinstance(result, TimeoutError) for result in results)
        assert pool.map(square, range(10)) == [x * x for x in range(10)]

    def test_timeout_of_the_pool(self) -> None:
        with Pool(1, start_method="fork", timeout=0.1) as pool:
            with pytest.raises(TimeoutError, match="killed"):
                pool.submit(sleep_if, 3600).result()
            assert pool.map(square, [3], timeout=PATIENCE_S) == [9]

    def test_max_tasks_per_worker(self) -> None:
        with Pool(2, start_method="fork", max_tasks_per_worker=3) as pool:
            pids = pool.map(pid_of, range(60), 1)
        assert len(pids) == 60
        assert max(pids.count(pid) for pid in pids) <= 3

    def test_initializer_that_raises_breaks_the_pool(self) -> None:
        pool = Pool(2, start_method="fork", initializer=fail, initargs=(1,))
        with pytest.raises(BrokenPool) as caught:
            pool.map(square, range(10))
        assert isinstance(caught.value.__cause__, LookupError)
        with pytest.raises(BrokenPool):
            pool.submit(square, 1)

    def test_an_initializers_long_error(self) -> None:
        pool = Pool(2, start_method="fork", initializer=fail_at_length)
        with pytest.raises(BrokenPool) as caught:
            pool.map(square, range(10))
        assert "ValueError: xxx" in str(caught.value.__cause__)

    @pytest.mark.parametrize("code", [9, 0])
    def test_workers_that_cannot_start_break_the_pool(self, code: int) -> None:
        pool = Pool(2, start_method="fork", initializer=os._exit, initargs=(code,))
        with pytest.raises(BrokenPool, match=f"exit code {code}"):
            promptly(lambda: pool.map(square, range(10)))

    def test_of_the_template_breaks_the_pool(self) -> None:
        pool = Pool(2, start_method="fork")
        pids = pool.map(pid_of, range(20)) and pool.pids
        os.kill(pool._template, signal.SIGKILL)
        with pytest.raises(BrokenPool, match="SIGKILL"):
            pool.map(sleep_if, [3600])
        for pid in pids:
            until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]

    def test_of_the_template_ends_a_map_that_is_not_all_handed_over(self, tmp_path: Path) -> None:
        pool = Pool(1, start_method="fork")
        started, never = tmp_path / "started", tmp_path / "never"
        tasks = [(str(started), str(never))] * 50_000

        def kill() -> None:
            until(started.exists)
            os.kill(pool._template, signal.SIGKILL)

        threading.Thread(target=kill).start()
        with pytest.raises(BrokenPool, match="SIGKILL"):
            promptly(lambda: pool.map(mark_and_wait, tasks, return_exceptions=True))

    def test_of_the_template_is_noticed_while_a_tasks_child_lives(self, tmp_path: Path) -> None:
        pool = Pool(1, start_method="fork")
        gate = str(tmp_path / "gate")
        child = pool.apply(fork_and_wait, (gate,))
        os.kill(pool._template, signal.SIGKILL)
        try:
            with pytest.raises(BrokenPool, match="SIGKILL"):
                promptly(lambda: pool.map(wait_for, [gate]))
            assert not is_gone(child)
        finally:
            Path(gate).touch()

    def test_a_task_that_forks_is_one_task(self, pool: Pool) -> None:
        assert pool.map(fork_and_return, range(20), 1) == list(range(20))
        assert pool.map(square, range(100)) == [x * x for x in range(100)]


def die_with(array: Any) -> int:
    if array is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return len(array)


def die_once(path: str) -> int:
    mark = Path(path)
    if not mark.exists():
        mark.touch()
        os._exit(3)
    return 1


def die_at(started: str, gate: str, _: object) -> None:
    Path(started).touch()
    wait_for(gate)
    os._exit(1)


def fail_at_length() -> None:
    raise ValueError("x" * 300_000)


def fork_and_wait(gate: str) -> int:
    pid = os.fork()
    if pid == 0:
        wait_for(gate)
        os._exit(0)
    return pid


def fork_and_return(x: int) -> int:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return x


class TestStreams:
    def test_does_not_run_ahead(self) -> None:
        taken = 0

        def numbers() -> Iterator[int]:
            nonlocal taken
            while True:
                yield taken
                taken += 1

        with Pool(2, start_method="fork", buffer=10) as pool:
            for method in (pool.imap, pool.imap_unordered):
                taken = 0
                stream = method(square, numbers())
                for count in range(100):
                    next(stream)
                    assert taken <= count + 11
                stream.close()
            assert pool.map(square, [4]) == [16]

    def test_next_with_a_timeout(self, pool: Pool, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        stream = pool.imap(wait_for, [str(gate)])
        with pytest.raises(TimeoutError):
            stream.next(timeout=0.01)
        gate.touch()
        assert stream.next(timeout=PATIENCE_S) == str(gate)

    def test_a_dropped_stream_is_cancelled(self, pool: Pool) -> None:
        for _ in range(20):
            stream = pool.imap(square, range(10_000))
            next(stream)
            del stream
        assert pool.map(square, [6]) == [36]


class TestFutures:
    def test_submit(self, pool: Pool) -> None:
        futures = [pool.submit(pow, i, 2, mod=7) for i in range(2000)]
        assert [future.result(PATIENCE_S) for future in futures] == [pow(i, 2, 7) for i in range(2000)]

    def test_errors(self, pool: Pool) -> None:
        assert isinstance(pool.submit(fail, 1).exception(PATIENCE_S), LookupError)
        assert isinstance(pool.submit(die, "kill").exception(PATIENCE_S), WorkerDied)

    def test_async_results(self, pool: Pool) -> None:
        got: list[Any] = []
        result: AsyncResult[list[int]] = pool.map_async(square, range(100), callback=got.append)
        assert result.get(PATIENCE_S) == [x * x for x in range(100)]
        assert result.ready()
        assert result.successful()
        until(lambda: got == [result.get()])
        errors: list[BaseException] = []
        bad = pool.apply_async(fail, (1,), error_callback=errors.append)
        bad.wait(PATIENCE_S)
        assert not bad.successful()
        until(lambda: len(errors) == 1)
        assert pool.starmap_async(divmod, [(7, 2)]).get(PATIENCE_S) == [(3, 1)]

    def test_cancel(self, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        with Pool(1, start_method="fork") as pool:
            first = pool.submit(wait_for, str(gate))
            second = pool.submit(fail, 1)
            assert second.cancel()
            gate.touch()
            assert first.result(PATIENCE_S) == str(gate)
            assert second.cancelled()
            assert pool.submit(square, 2).result(PATIENCE_S) == 4

    def test_cancelled_while_it_runs(self, tmp_path: Path) -> None:
        started, gate = tmp_path / "started", tmp_path / "gate"
        with Pool(1, start_method="fork") as pool:
            future = pool.submit(mark_and_wait, (str(started), str(gate)))
            until(started.exists)
            assert future.cancel()
            assert future.cancel()
            assert concurrent.futures.wait([future], 0).done == {future}
            gate.touch()
            assert pool.submit(square, 2).result(PATIENCE_S) == 4

    def test_a_failed_map_async_cancels_the_rest(self, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        with Pool(1, start_method="fork") as pool:
            tasks = [("fail", ""), ("wait", str(gate)), *[("touch", str(tmp_path / f"mark{i}")) for i in range(50)]]
            future = pool.map_async(step, tasks, 1)
            assert isinstance(future.exception(PATIENCE_S), LookupError)
            gate.touch()
        assert list(tmp_path.glob("mark*")) == []

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_callback_that_exits_stops_nothing(self, pool: Pool) -> None:
        """It is called in another thread, however fast the result is there."""

        def leave(_: object) -> None:
            raise SystemExit

        for _ in range(5):
            futures = [pool.apply_async(square, (x,), callback=leave) for x in range(20)]
            assert [future.result(PATIENCE_S) for future in futures] == [x * x for x in range(20)]

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_all_callbacks_are_called(self) -> None:
        """Though one of them, called by the thread that waits for a map, is ended by Ctrl-C."""
        got: list[int] = []

        def interrupt() -> None:
            raise KeyboardInterrupt

        with Pool(1, start_method="fork") as pool:
            core = pool._core
            due = [interrupt, lambda: got.append(1), lambda: got.append(2)]

            def take_deliveries() -> Any:
                return [*(due.pop(0) for _ in range(len(due))), *core.take_deliveries()]

            pool._core = Meddled(core, take_deliveries=take_deliveries)  # type: ignore[assignment]
            with pytest.raises(KeyboardInterrupt):
                promptly(lambda: pool.map(square, [1]))
            assert got == [1, 2]

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_what_exits_when_it_is_loaded_here(self, pool: Pool) -> None:
        """The thread behind submit() goes on."""
        for _ in range(2):
            assert isinstance(pool.submit(make_exiting).exception(PATIENCE_S), SystemExit)
            assert pool.submit(square, 4).result(PATIENCE_S) == 16

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_core_that_cannot_run_breaks_the_pool(self) -> None:
        pool = Pool(1, start_method="fork")

        def run(*_: object) -> int:
            raise MemoryError("none left")

        pool._core = Meddled(pool._core, run=run)  # type: ignore[assignment]
        with pytest.raises(BrokenPool, match="MemoryError: none left"):
            pool.submit(square, 4).result(PATIENCE_S)

    def test_a_callback_may_use_the_pool(self, pool: Pool) -> None:
        got: list[Any] = []
        future = pool.submit(square, 3)
        future.add_done_callback(lambda done: got.append(pool.map(square, [done.result()])))
        until(lambda: got == [[81]])

    def test_from_many_threads(self, pool: Pool) -> None:
        wrong: list[Any] = []

        def use(number: int) -> None:
            for turn in range(20):
                if number % 3 == 0:
                    result = pool.map(square, range(number, number + 50))
                elif number % 3 == 1:
                    result = list(pool.imap(square, range(number, number + 50)))
                else:
                    result = [pool.submit(square, x).result(PATIENCE_S) for x in range(number, number + 50)]
                if result != [x * x for x in range(number, number + 50)]:
                    wrong.append((number, turn, result))

        threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def step(task: tuple[str, str]) -> None:
    what, path = task
    if what == "fail":
        raise LookupError(what)
    if what == "wait":
        wait_for(path)
    else:
        Path(path).touch()


class Exits:
    """Loading it is sys.exit(5)."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.exit, (5,))


def make_exiting() -> Exits:
    return Exits()


class TestBuffers:
    def test_arrays_are_not_copied_by_the_receiver(self, pool: Pool) -> None:
        numpy = pytest.importorskip("numpy")
        array = numpy.arange(50_000.0)
        results = pool.map(identity, [array, array[::2], array.reshape(500, 100).T, array[:10]])
        expected = [array, array[::2], array.reshape(500, 100).T, array[:10]]
        for result, wanted in zip(results, expected, strict=True):
            assert numpy.array_equal(result, wanted)
            assert result.flags.writeable
        assert not results[0].flags.owndata
        results[0][:] = 0
        assert array[1] == 1

    def test_results_outlive_the_pool(self) -> None:
        numpy = pytest.importorskip("numpy")
        with Pool(2, start_method="fork") as pool:
            results = pool.map(identity, [numpy.full(20_000, float(i)) for i in range(20)])
        assert all((result == i).all() for i, result in enumerate(results))

    def test_blocks_are_used_again(self, pool: Pool) -> None:
        numpy = pytest.importorskip("numpy")
        array = numpy.zeros(1_000_000)
        for _ in range(75):  # 600 MB each way
            pool.apply(identity, (array,))
        size = 0
        for line in Path("/proc/self/smaps").read_text().split("\n"):
            if "sidewinder-pool" in line:
                size = -1
            elif size == -1 and line.startswith("Rss:"):
                assert int(line.split()[1]) < 400_000
                size = 0

    def test_bytes_and_pickled_buffers(self, pool: Pool) -> None:
        data = bytes(range(256)) * 1000
        assert pool.map(identity, [data, bytearray(data)]) == [data, bytearray(data)]
        back = pool.apply(identity, (pickle.PickleBuffer(data),))
        assert bytes(back) == data


class TestTheEnd:
    def test_closed(self) -> None:
        pool = Pool(1, start_method="fork")
        with pytest.raises(ValueError, match="close"):
            pool.join()
        future = pool.submit(square, 5)
        pool.close()
        with pytest.raises(ValueError, match="closed"):
            pool.map(square, [1])
        pool.join()
        assert future.result(PATIENCE_S) == 25
        pool.join()
        pool.terminate()

    def test_leaving_the_block_waits_for_workers_that_start(self, tmp_path: Path) -> None:
        """Though nothing was heard of them yet."""
        marks = tmp_path / "marks"
        marks.mkdir()
        with Pool(3, start_method="fork", initializer=mark_in, initargs=(str(marks),)):
            pass
        assert len(list(marks.iterdir())) == 3

    def test_leaving_the_block_waits(self) -> None:
        with Pool(2, start_method="fork") as pool:
            futures = [pool.submit(square, x) for x in range(200)]
        assert [future.result(0) for future in futures] == [x * x for x in range(200)]

    def test_a_stream_outlives_the_block(self) -> None:
        """What it had taken from its source is there, then it says why there is no more."""
        with Pool(2, start_method="fork", buffer=10) as pool:
            stream = pool.imap(square, range(1000))
        got: list[int] = []
        with pytest.raises(ValueError, match="closed"):
            promptly(lambda: got.extend(stream.next() for _ in range(10)) or stream.next())  # type: ignore[func-returns-value]
        assert got == [x * x for x in range(10)]

    def test_join_waits_for_another_threads_stream(self) -> None:
        reached, may_go = threading.Event(), threading.Event()
        got: list[int] = []

        def numbers() -> Iterator[int]:
            yield from range(10)
            reached.set()
            may_go.wait(PATIENCE_S)
            yield from range(10, 20)

        pool = Pool(1, start_method="fork", buffer=10)

        def read() -> None:
            try:
                got.extend(pool.imap(square, numbers()))
            except ValueError:
                pass  # closed: what came after the first part depends on who was faster

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert reached.wait(PATIENCE_S)
        pool.close()
        joiner = threading.Thread(target=pool.join, daemon=True)
        joiner.start()
        until(lambda: len(pool._waiters) > 0 or not joiner.is_alive())
        may_go.set()
        joiner.join(PATIENCE_S)
        reader.join(PATIENCE_S)
        assert got[:11] == [x * x for x in range(11)]

    def test_ctrl_c_in_join_leaves_the_pool_to_others(self) -> None:
        got: list[int] = []
        pool = Pool(1, start_method="fork")
        stream = pool.imap(square, range(10))
        reader = threading.Thread(target=lambda: got.extend(stream), daemon=True)
        core = pool._core

        def run(job: Any, tick_ns: int = 0) -> int:
            if job is None and not reader.ident:
                reader.start()
                until(lambda: len(pool._waiters) > 0)
                raise KeyboardInterrupt
            return core.run(job, tick_ns)

        pool._core = Meddled(core, run=run)  # type: ignore[assignment]
        pool.close()
        with pytest.raises(KeyboardInterrupt):
            pool.join()
        reader.join(PATIENCE_S)
        assert got == [x * x for x in range(10)]
        promptly(pool.join)

    @pytest.mark.parametrize("method", ["map", "submit", "imap"])
    def test_terminate_while_an_argument_is_pickled(self, method: str) -> None:
        pool = Pool(1, start_method="fork")
        slow = Slow(3)
        calls: dict[str, Callable[[], Any]] = {
            "map": lambda: pool.map(identity, [slow, slow]),
            "submit": lambda: pool.submit(identity, slow).result(PATIENCE_S),
            "imap": lambda: list(pool.imap(identity, [slow, slow])),
        }

        def end() -> None:
            assert slow.is_reached.wait(PATIENCE_S)
            pool.terminate()
            slow.may_go.set()

        threading.Thread(target=end).start()
        with pytest.raises(ValueError, match="terminated"):
            promptly(calls[method])

    def test_terminate_fails_what_is_left(self, tmp_path: Path) -> None:
        pool = Pool(1, start_method="fork")
        started = tmp_path / "started"
        futures = [pool.submit(mark_and_wait, (str(started), str(tmp_path / "never"))) for _ in range(3)]
        until(started.exists)
        pid = int(started.read_text() or 0)
        pool.terminate()
        for future in futures:
            with pytest.raises(ValueError, match="terminated"):
                future.result(PATIENCE_S)
        assert is_gone(pid)

    def test_terminate_from_another_thread(self, tmp_path: Path) -> None:
        pool = Pool(1, start_method="fork")
        started = tmp_path / "started"

        def end() -> None:
            until(started.exists)
            pool.terminate()

        thread = threading.Thread(target=end)
        thread.start()
        with pytest.raises(ValueError, match="terminated"):
            pool.map(mark_and_wait, [(str(started), str(tmp_path / "never"))])
        thread.join()

    def test_a_forgotten_pool_ends(self) -> None:
        pool = Pool(2, start_method="fork")
        pids = [*pool.map(pid_of, range(10)), pool._template]
        del pool
        for pid in pids:
            until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]

    def test_not_in_a_forked_child(self, pool: Pool) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                pool.map(square, [1])
            except RuntimeError as error:
                os._exit(0 if "belongs to the process" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert pool.map(square, [7]) == [49]

    @pytest.mark.parametrize("error", [None, SystemExit(0)])
    def test_a_forked_child_that_leaves_the_block_leaves_the_pool(self, error: BaseException | None) -> None:
        with Pool(1, start_method="fork") as pool:
            pids = pool.map(pid_of, [1])
            until(lambda: pool.pids == pids)
            pid = os.fork()
            if pid == 0:
                signal.alarm(int(PATIENCE_S))
                status = 1
                try:
                    pool.__exit__(type(error) if error else None, error, None)
                    assert pool.pids == pids
                    pool.terminate()
                    pool.close()
                    with pytest.raises(RuntimeError, match="belongs to the process"):
                        pool.join()
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            assert promptly(lambda: pool.map(pid_of, [7])) == pids

    def test_a_pool_that_cannot_be_made_leaves_nothing_open(self) -> None:
        program = [sys.executable, "-c", LEAVES_NOTHING_OPEN]
        out = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
        assert out == "no more sockets\n0 more\n"


LEAVES_NOTHING_OPEN = """
import gc, os, socket
from sidewinder import Pool

def count():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))

def refuse(*_):
    raise OSError("no more sockets")

def attempt():
    try:
        Pool(1, start_method="forkserver", initializer=lambda: None)
    except Exception:
        pass  # which one, the versions of Python do not agree on
    pair, socket.socketpair = socket.socketpair, refuse
    try:
        Pool(1, start_method="fork")
    except OSError as error:
        return error
    finally:
        socket.socketpair = pair

before = count()
print(str(attempt()))
print(count() - before, "more")
"""


def mark_in(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()


PROGRAM = """
import os, signal, sys, time
from sidewinder import Pool

def wait(_):
    os.write(1, f"{os.getpid()}\\n".encode())  # whole lines, though two write
    time.sleep(3600)

def square(x):
    return x * x

if __name__ == "__main__":
    pool = Pool(2, start_method=sys.argv[1])
    if sys.argv[2] == "square":
        print(pool.map(square, range(5)), pool.map(lambda x: x + 1, [1]))
        pool.close()
        pool.join()
    elif sys.argv[2] == "terminate":
        signal.signal(signal.SIGTERM, lambda *_: pool.terminate())
        try:
            pool.map(wait, [1, 2])
        except ValueError as error:
            print(error, pool.pids, flush=True)
    elif sys.argv[2] == "forget":
        print(pool.map(square, range(5)))
    else:
        try:
            pool.map(wait, [1, 2])
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            print(Pool(1, start_method=sys.argv[1]).map(square, [3]), flush=True)
"""


@pytest.mark.parametrize("method", ["fork", "forkserver"])
class TestPrograms:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Iterator[Run]:
        program = tmp_path / "program.py"
        program.write_text(PROGRAM)
        started: list[subprocess.Popen[str]] = []

        def start(method: str, mode: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, str(program), method, mode],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            started.append(process)
            return process

        yield start
        for process in started:
            process.kill()  # its workers go with it
            process.communicate()

    def test_runs(self, run: Run, method: str) -> None:
        out, err = run(method, "square").communicate(timeout=PATIENCE_S)
        assert (out, err) == ("[0, 1, 4, 9, 16] [2]\n", "")

    def test_exits_with_a_pool_that_is_not_closed(self, run: Run, method: str) -> None:
        out, err = run(method, "forget").communicate(timeout=PATIENCE_S)
        assert (out, err) == ("[0, 1, 4, 9, 16]\n", "")

    def test_ctrl_c_is_one_exception_in_the_owner(self, run: Run, method: str) -> None:
        process = run(method, "wait")
        assert process.stdout is not None
        pids = [int(process.stdout.readline()) for _ in range(2)]
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (out, err) == ("interrupted\n[9]\n", "")
        assert process.returncode == 0
        for pid in pids:
            until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]

    def test_a_signals_handler_may_terminate(self, run: Run, method: str) -> None:
        process = run(method, "terminate")
        assert process.stdout is not None
        pids = [int(process.stdout.readline()) for _ in range(2)]
        os.kill(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (out.split(" [")[0], err) == ("the pool was terminated", "")
        for pid in pids:
            assert is_gone(pid)

    def test_nobody_outlives_a_killed_owner(self, run: Run, method: str) -> None:
        process = run(method, "wait")
        assert process.stdout is not None
        pids = [int(process.stdout.readline()) for _ in range(2)]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait()
        for pid in [*pids, *map(int, children)]:
            until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]
        process.communicate()


def test_a_threaded_process_does_not_fork() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with Pool(1) as pool:
            assert "forkserver" in repr(pool)
    finally:
        stop.set()
        thread.join()


class TestProgress:
    def test_text(self) -> None:
        bar = Bar(1000)
        text = bar.text(250, bar.start_ns + 2_000_000_000)
        assert text == " 25% [#######.......................] 250/1000 125.0/s ETA 0:06"
        assert Bar(None).text(5_000_000, bar.start_ns).startswith("5000000 ")
        assert "ETA -" in bar.text(0, bar.start_ns + 1)

    def test_is_quiet_without_a_terminal(self, pool: Pool, capfd: pytest.CaptureFixture[str]) -> None:
        assert pool.map(square, range(100), progress=True) == [x * x for x in range(100)]
        assert list(pool.imap(square, range(10), progress=True)) == [x * x for x in range(10)]
        assert capfd.readouterr() == ("", "")

    def test_on_a_terminal(self, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        shown: list[str] = []

        class Terminal:
            def isatty(self) -> bool:
                return True

            def write(self, text: str) -> None:
                shown.append(text)

            def flush(self) -> None:
                pass

        monkeypatch.setattr(sys, "stderr", Terminal())
        assert len(pool.map(square, range(100), progress=True)) == 100
        text = "".join(shown)
        assert "100% [##############################] 100/100" in text
        assert text.endswith("\n")
