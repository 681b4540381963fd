"""sidewinder.fastmath on threads, after a fork, in another interpreter; and no reference is kept."""

from __future__ import annotations

import gc
import importlib
import itertools
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

from sidewinder import Array, fastmath
from tests.python.fastmath_cases import NAN, REDUCTIONS, random_matrix, random_values


def long_calls() -> dict[str, Callable[[], Callable[[], Any]]]:
    """Work of milliseconds by its name: what makes the arguments and returns the call."""

    def diffusion() -> Callable[[], Any]:
        grid = Array(random_matrix(300, 300))
        return lambda: fastmath.diffuse(grid, 400, threads=1)

    def vectors() -> Callable[[], Any]:
        x = Array(range(200_000))
        return lambda: [fastmath.matmul(x, x) for _ in range(100)]

    def powers() -> Callable[[], Any]:
        x = Array(range(4900))
        return lambda: [fastmath.evaluate("a**b", a=x, b=1.5) for _ in range(200)]

    def one_row() -> Callable[[], Any]:
        return lambda: fastmath.mandelbrot(4, 1, x=(-1.9, -1.8), y=(0, 1), iterations=2_000_000)

    def many_bins() -> Callable[[], Any]:
        return lambda: fastmath.histogram([1, 2], bins=1_000_000)

    def copies() -> Callable[[], Any]:
        x = Array(range(200_000))
        return lambda: [x.copy() for _ in range(50)]

    def comparisons() -> Callable[[], Any]:
        x, y = Array(range(200_000)), Array(range(200_000))
        return lambda: [x == y for _ in range(50)]

    def assignments() -> Callable[[], Any]:
        x, y = Array(range(200_000)), Array(range(200_000))

        def assign() -> None:
            for _ in range(50):
                x[:] = y[::-1]

        return assign

    makers = (diffusion, vectors, powers, one_row, many_bins, copies, comparisons, assignments)
    return {maker.__name__: maker for maker in makers}


LONG_CALLS = long_calls()


class TestThreads:
    @pytest.mark.parametrize("name", LONG_CALLS)
    def test_the_gil_is_released(self, name: str) -> None:
        """With a switch interval of minutes another thread runs only when somebody lets go of the GIL."""
        call = LONG_CALLS[name]()
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
                    call()
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
        pytest.fail(f"nothing ran while {name} computed")

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
        lambda: fastmath.histogram([1e17]),
        lambda: fastmath.ewma(x, 0.5, out=out[1:]),
        lambda: fastmath.exp(x, out=x[::-1]),
        lambda: fastmath.exp(ints, out=bytearray(8)),
        lambda: fastmath.exp(ints, out=items),  # type: ignore[call-overload]
        lambda: fastmath.where(ints, x, 0),
        lambda: fastmath.evaluate("x +"),
        lambda: fastmath.evaluate("x + missing", {"x": ints}),
        lambda: fastmath.evaluate("x + y", x=ints, y=x),
        lambda: fastmath.evaluate("x", x=ints, z=1),
        lambda: fastmath.evaluate("x", x=ints, expression="z"),  # type: ignore[misc]
        lambda: fastmath.exp(1.0, threads=0),
        lambda: fastmath.matmul(x, y, threads=0),
        lambda: Array([[1, 2], 3]),
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
