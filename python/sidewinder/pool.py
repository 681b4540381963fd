"""A pool of worker processes over shared memory.

:class:`Pool` takes the place of :class:`multiprocessing.Pool` and :class:`concurrent.futures.ProcessPoolExecutor`: tasks
and results travel through rings in shared memory instead of pipes, large buffers (NumPy arrays) as blocks of it that the
receiver uses where they lie, and a worker that dies costs the one task it was running.

    >>> from sidewinder import Pool
    >>> with Pool(2) as pool:  # doctest: +SKIP
    ...     pool.map(abs, [-1, -2, 3])
    [1, 2, 3]

Linux 5.3 and later, CPython 3.10 and later. What travels, and who dies when: docs/pool.md.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from threading import get_ident
from typing import Any, TypeVar

from sidewinder import _pool, pool_worker
from sidewinder.pool_error import BrokenPool, RemoteTraceback, WorkerDied, describe_exit, unpack_error
from sidewinder.pool_function import pack_function
from sidewinder.pool_progress import Bar
from sidewinder.pool_result import AsyncResult, Failure, ResultStream, with_callbacks
from sidewinder.pool_worker import MESSAGE, THREAD_VARIABLES, Settings, run_template

__all__ = ["AsyncResult", "BrokenPool", "Pool", "RemoteTraceback", "ResultStream", "WorkerDied"]

T = TypeVar("T")
R = TypeVar("R")

READY, FEED, ATTEND, DELIVER, TICK, IDLE = range(6)
LIST, ORDERED, UNORDERED = range(3)
ONE, STAR, KEYWORDS = range(3)
FUTILE_STARTS = 3  # workers of one lane that died while they started, one after another: then the pool is broken
FUTILE_TURNS = 3  # failures of the thread behind submit(), one after another: then the pool is broken
LINGER_S = 0.2  # how long the thread behind submit() waits for more work before it ends
SERVER = "sidewinder-pool"  # the name of that thread
END_S = 10.0  # how long the template may take to end its workers before it is killed


def _is_single_threaded() -> bool:
    """Whether no other Python thread could hold a lock; the threads of pools hold none while they wait."""
    return all(thread is threading.current_thread() or thread.name == SERVER for thread in threading.enumerate())


def _nanoseconds(timeout: float | None) -> int:
    if timeout is None:
        return 0
    if not timeout > 0:
        raise ValueError(f"a time-out of {timeout} s is not possible; it must be above 0")
    return max(1, int(timeout * 1e9))


def _report(error: BaseException) -> None:
    """Says what the thread behind submit() met, as the end of a thread does."""
    thread = threading.current_thread()
    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))


def _end_template(owner: int, control: socket.socket, pid: int) -> None:
    """Has the template kill the workers and end; also run when a pool is forgotten, or the interpreter ends."""
    if os.getpid() != owner:
        return
    try:
        control.send(MESSAGE.pack(b"Q", 0, 0))
    except OSError:
        pass
    control.close()
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(END_S * 1000):
        os.kill(pid, signal.SIGKILL)
    os.close(fd)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # someone else waited for it


class Pool:
    """Worker processes that run Python functions.

    `workers`: how many processes; None for one a CPU that this process may use.
    `start_method`: "fork" copies this process when the pool is made, "forkserver" starts a fresh interpreter, which
    imports the main module anew. None forks unless this process has more than one Python thread: a lock another thread
    holds would stay locked in the copy for ever.
    `initializer(*initargs)` runs in each worker first; if it raises, the pool is broken.
    `max_tasks_per_worker`: a worker is replaced after so many tasks.
    `retries`: how often a task is run again when its worker dies, before it fails with :class:`WorkerDied`.
    `timeout`: seconds a task may run; then it fails with TimeoutError, and its worker is killed and replaced.
    `buffer`: tasks of an imap that may be under way or unread; None for 128 a worker.
    `blas_threads`: threads of BLAS and OpenMP libraries that workers load from then on; 0 leaves them alone.

    Methods may be called from any thread of the process that made the pool. Leaving a `with` block waits for what was
    submitted; leaving it by an exception terminates.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        start_method: str | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        max_tasks_per_worker: int | None = None,
        retries: int = 0,
        timeout: float | None = None,
        buffer: int | None = None,
        blas_threads: int = 1,
    ) -> None:
        if workers is None:
            workers = len(os.sched_getaffinity(0))
        if workers < 1:
            raise ValueError(f"a pool of {workers} workers is not possible; it takes at least 1")
        if max_tasks_per_worker is not None and max_tasks_per_worker < 1:
            raise ValueError(f"max_tasks_per_worker is {max_tasks_per_worker}; it must be at least 1, or None")
        if pool_worker.is_preparing:
            raise RuntimeError(
                "a pool is made while a worker's interpreter imports the main module; "
                'put what the program does under `if __name__ == "__main__":`'
            )
        if start_method is None:
            start_method = "fork" if _is_single_threaded() else "forkserver"
        if start_method not in ("fork", "forkserver"):
            raise ValueError(f'there is no start method {start_method!r}; it is "fork" or "forkserver"')
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be callable")
        self._workers = workers
        self._retries = retries
        self._timeout_ns = _nanoseconds(timeout)
        self._buffer = buffer or 128 * workers
        self._start_method = start_method
        self._settings = Settings(initializer, tuple(initargs), max_tasks_per_worker or 0, blas_threads)
        self._owner = os.getpid()
        self._token = threading.Lock()  # held by the thread that runs the core
        self._holders: set[int] = set()  # the threads that hold the token or reach for it
        self._busy: list[int] = []  # the threads that feed a job or wait for it, once for each
        self._waiters: list[threading.Event] = []
        self._lock = threading.Lock()  # of _server and _work
        self._server: threading.Thread | None = None
        self._work = threading.Event()
        self._functions: dict[Any, tuple[int, bytes]] = {}
        self._dead: list[tuple[int, int]] = []  # workers that are not buried yet: lane, wait status
        self._late: deque[Callable[[], object]] = deque()  # calls that _deliver() owes when the pool is broken
        self._futile = [0] * workers
        self._pids: list[int | None] = [None] * workers
        self._alive = workers  # how many the template was told to start, less those it has buried
        self._is_closed = False
        self._is_ending = False
        self._is_doomed = False  # terminate() was called where it could not act
        self._broken: BaseException | None = None
        self._start()

    # Processes

    def _start(self) -> None:
        self._segment = _pool.Segment(self._workers)
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                try:
                    pid = self._fork(control, theirs) if self._start_method == "fork" else self._launch(theirs)
                except BaseException:
                    control.close()
                    raise
        except BaseException:
            os.close(self._wake_fd)
            raise
        self._control = control
        self._template = pid
        self._finalizer = weakref.finalize(self, _end_template, self._owner, control, pid)
        self._closer = weakref.finalize(self, os.close, self._wake_fd)
        self._closer.atexit = False
        self._core = _pool.Core(self._segment, self._wake_fd, control.fileno(), unpack_error)

    def _fork(self, control: socket.socket, theirs: socket.socket) -> int:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()  # or the copies would write the same again
            except (AttributeError, OSError, ValueError):
                pass
        with warnings.catch_warnings():
            # 3.12 warns of any thread; which ones matter was decided above.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            control.close()
            run_template(theirs, self._owner, self._segment, self._wake_fd, self._settings)
        return pid

    def _launch(self, theirs: socket.socket) -> int:
        from multiprocessing import spawn

        preparation = spawn.get_preparation_data("sidewinder-pool")
        preparation.pop("authkey", None)
        packed = pickle.dumps((preparation, pickle.dumps(self._settings, 5)), 5)
        start_fd = os.memfd_create("sidewinder-pool-start", 0)
        try:
            with open(start_fd, "r+b", closefd=False) as file:
                file.write(packed)
                file.seek(0)
            return self._execute(theirs, start_fd)
        finally:
            os.close(start_fd)

    def _execute(self, theirs: socket.socket, start_fd: int) -> int:
        import subprocess

        fds = (theirs.fileno(), self._segment.fd, self._wake_fd, start_fd)
        program = f"import sys; sys.path[:] = {sys.path!r}; from sidewinder.pool_worker import main; main({', '.join(map(str, fds))}, {self._owner})"
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        environment = dict(os.environ)
        if self._settings.blas_threads:
            environment.update(dict.fromkeys(THREAD_VARIABLES, str(self._settings.blas_threads)))
        child = subprocess.Popen([sys.executable, *flags, "-c", program], pass_fds=fds, env=environment)
        child.returncode = 0  # we wait for it ourselves
        return child.pid

    def _order(self, letter: bytes, lane: int) -> None:
        try:
            self._control.send(MESSAGE.pack(letter, lane, 0))
        except OSError:
            pass  # the template is dead; its socket's end says so to _attend

    def _attend(self) -> None:
        """Reads the template's messages, and has it kill the workers whose tasks ran out of time. With the token only."""
        for lane in self._core.take_condemned():
            self._order(b"K", lane)
        while self._broken is None:
            self._bury_all()
            try:
                message = self._control.recv(200_000, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._break(
                    BrokenPool(f"the pool's template process {self._wait_template()}; its workers died with it")
                )
                return
            letter, lane, number = MESSAGE.unpack_from(message)
            if letter == b"B":
                self._pids[lane] = number
            elif letter == b"D":
                self._dead.append((lane, number))
            elif letter == b"I":
                error = BrokenPool("the initializer of a worker raised an exception")
                try:
                    error.__cause__ = unpack_error(message[MESSAGE.size :])
                except Exception as reason:  # it cannot be loaded here
                    error.__cause__ = reason
                self._break(error)

    def _wait_template(self) -> str:
        try:
            return describe_exit(os.waitpid(self._template, 0)[1])[0]
        except ChildProcessError:
            return "ended"

    def _bury_all(self) -> None:
        """Buries the dead. One whose last results cannot be read because of a signal's handler is buried next time."""
        while self._dead and self._broken is None:
            lane, status = self._dead[0]
            is_ready = self._core.is_ready(lane)
            running = self._core.died(lane)
            del self._dead[0]
            self._alive -= 1
            try:
                self._bury(lane, status, is_ready, running)
            finally:
                if self._broken is None and not self._is_ending:
                    self._alive += 1
                    self._order(b"S", lane)

    def _bury(self, lane: int, status: int, is_ready: bool, running: tuple[_pool.Job, int, bool] | None) -> None:
        pid, self._pids[lane] = self._pids[lane], None
        self._futile[lane] = 0 if is_ready else self._futile[lane] + 1
        how, number, code = describe_exit(status)
        if running is not None:
            job, index, is_late = running
            self._mourn(job, index, is_late, (pid, how, number, code))
        if self._futile[lane] >= FUTILE_STARTS:
            self._break(BrokenPool(f"workers die while they start: the last one {how}"))

    def _mourn(
        self, job: _pool.Job, index: int, is_late: bool, death: tuple[int | None, str, int | None, int | None]
    ) -> None:
        """What becomes of the task that a dead worker was running."""
        pid, how, number, code = death
        tries = job.note_try(index)
        error: BaseException
        if is_late:
            error = TimeoutError("the task ran out of its time; its worker was killed")
        elif tries <= self._retries and index in job.kept:
            try:
                self._core.retry(job, index, job.kept[index])
                return
            except Exception as reason:  # its argument cannot be pickled any more
                error = reason
            except BaseException as interrupt:  # of a signal's handler
                self._core.fail(job, index, interrupt)
                raise
        else:
            again = f" in its attempt {tries}" if tries > 1 else ""
            error = WorkerDied(f"worker process {pid} {how} while it ran task {index}{again}", number, code)
        self._core.fail(job, index, error)

    def _break(self, error: BaseException) -> None:
        """Ends all processes; every task that has no result fails with `error`. With the token only."""
        self._broken = error
        self._is_closed = self._is_ending = True
        try:
            self._finalizer()
        finally:
            self._core.abandon(error)
            for job in self._core.take_queue():
                self._give_up(job)

    def _give_up(self, job: _pool.Job) -> None:
        """After the pool broke: ends a job, which may have been handed to workers that are no more."""
        assert self._broken is not None
        self._core.abandon(self._broken)
        self._core.cancel(job)
        callback = job.done_callback
        if callback is not None:
            self._late.append(callback)

    # Driving

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self._is_closed:
            raise ValueError("the pool is closed")

    def _check_owner(self) -> None:
        if os.getpid() != self._owner:
            raise RuntimeError("this pool belongs to the process that made it; make one in this process")

    def _enter(self) -> None:
        """This thread works for a job that may have more tasks yet: join() waits for it."""
        self._busy.append(get_ident())

    def _exit(self) -> None:
        self._busy.remove(get_ident())
        if self._is_closed:
            self._wake()

    def _feed(self, job: _pool.Job) -> None:
        if job.wants_feed and self._broken is None and self._core.has_room:
            self._core.feed(job)

    def _feed_ahead(self, job: _pool.Job) -> None:
        self._enter()
        try:
            self._feed(job)
        finally:
            self._exit()

    def _deliver(self) -> None:
        """Calls who waited for a job. Not with the token: they may use the pool. One that fails does not stop the rest."""
        failure: BaseException | None = None
        callbacks = deque(self._core.take_deliveries())
        while callbacks or self._late:
            try:
                callback = (callbacks or self._late).popleft()
            except IndexError:
                break  # another thread was faster
            try:
                callback()
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _drive(self, job: _pool.Job, bar: Bar | None = None, deadline_ns: int | None = None) -> bool:
        """Returns once the job is ready; False at the deadline, on the monotonic clock."""
        self._enter()
        try:
            while not self._is_settled(job):
                now = time.monotonic_ns()
                if deadline_ns is not None and now >= deadline_ns:
                    return False
                tick = deadline_ns or 0
                if bar is not None:
                    bar.show(job.done)
                    tick = min(tick or bar.next_ns, bar.next_ns)
                if self._take(0):
                    try:
                        self._run(job, tick)
                    finally:
                        self._release()
                else:
                    self._stand_by(job, None if not tick else max(0.0, (tick - now) / 1e9))
                self._deliver()
        finally:
            self._exit()
        return True

    def _is_settled(self, job: _pool.Job) -> bool:
        """Hands over what there is room for; whether there is nothing to wait for."""
        self._feed(job)
        if self._broken is not None and not job.is_ready:
            self._give_up(job)
            self._deliver()
        return job.is_ready

    def _run(self, job: _pool.Job | None, tick_ns: int = 0) -> int:
        """Runs the core until there is something to do elsewhere. With the token only."""
        end = ATTEND
        if self._broken is None and not self._dead and not self._is_doomed:
            end = self._core.run(job, tick_ns)
        if self._broken is None and self._is_doomed:
            self._break(ValueError("the pool was terminated"))
        if self._broken is not None:
            return IDLE
        if end == ATTEND:
            self._attend()
        return end

    def _turn(self) -> int:
        self._take()
        try:
            return self._run(None)
        finally:
            self._release()

    def _take(self, timeout: float = -1) -> bool:
        """Takes the token; False if that was not possible in `timeout` seconds (-1: no limit)."""
        me = get_ident()
        holders = self._holders
        if me in holders:
            raise RuntimeError("the handler of a signal cannot wait for the pool that the same thread is running")
        is_taken = False
        holders.add(me)  # before: a signal's handler may run as soon as the token is taken
        try:
            is_taken = self._token.acquire(True, timeout)
        finally:
            if not is_taken:
                holders.discard(me)
        return is_taken

    def _release(self) -> None:
        self._token.release()
        self._holders.discard(get_ident())
        if self._waiters:
            self._wake()
        if self._is_doomed:
            self.terminate()

    def _wake(self) -> None:
        for event in self._waiters[:]:
            event.set()

    def _stand_by(self, job: _pool.Job, timeout: float | None) -> None:
        """Another thread runs the core: waits until there is something to do here, or that thread stops."""
        self._check_owner()  # in a forked copy the token may be held for ever
        if self._is_doomed:
            self.terminate()
        event = threading.Event()
        self._waiters.append(event)
        job.waiter = event.set
        try:
            if self._token.locked() and not job.is_ready and not (job.wants_feed and self._core.has_room):
                event.wait(timeout)
        finally:
            self._waiters.remove(event)
            if job.waiter is not None:
                del job.waiter

    def _serve(self) -> None:
        """The thread behind submit(): runs the core while there are tasks. Nothing ends it before, or futures would hang."""
        failures = 0
        while True:
            end = FEED
            try:
                end = self._turn()
                failures = 0
            except BaseException as error:  # of code that ran while a task was written or a result read
                failures += 1
                self._survive(error, failures)
            try:
                self._deliver()
            except BaseException as error:  # of a callback
                _report(error)
            if end != IDLE or self._work.wait(LINGER_S):
                self._work.clear()
                continue
            with self._lock:
                if not self._work.is_set():
                    self._server = None
                    return

    def _survive(self, error: BaseException, failures: int) -> None:
        _report(error)
        if failures < FUTILE_TURNS:
            return
        broken = BrokenPool(f"the pool's thread cannot go on: {type(error).__name__}: {error}")
        broken.__cause__ = error
        self._take()
        try:
            if self._broken is None:
                self._break(broken)
        finally:
            self._release()

    def _enqueue(self, job: _pool.Job) -> None:
        try:
            self._core.enqueue(job)
        except BaseException:
            self._core.cancel(job)
            raise
        if self._broken is not None:
            self._give_up(job)
            self._deliver()
            return
        with self._lock:
            self._work.set()
            if self._server is None:
                self._server = threading.Thread(target=self._serve, name=SERVER, daemon=True)
                self._server.start()
        self._core.kick()

    def _forget(self, job: _pool.Job) -> None:
        if os.getpid() == self._owner:
            self._core.cancel(job)

    # Jobs

    def _function(self, function: Callable[..., Any]) -> tuple[int, bytes]:
        try:
            known = self._functions.get(function)
        except TypeError:
            known = None  # not hashable
        if known is not None:
            return known
        packed, is_plain = pack_function(function)
        fresh = (self._core.new_function(), packed)
        if is_plain:
            if len(self._functions) >= 64:
                self._functions.clear()
            self._functions[function] = fresh
        return fresh

    def _job(
        self, kind: int, call: int, function: Callable[..., Any], items: Iterable[Any], options: _Options
    ) -> _pool.Job:
        self._check()
        number, packed = self._function(function)
        if options.chunksize is not None and options.chunksize < 1:
            raise ValueError(f"chunksize is {options.chunksize}; it must be at least 1")
        extra: dict[str, Any] = {}
        if kind != LIST:
            extra["failure_type"] = None if options.return_exceptions else Failure
            extra["limit"] = self._buffer
        elif options.return_exceptions:
            extra["failure_type"] = None
        return _pool.Job(
            kind,
            call,
            number,
            packed,
            items,
            claim=options.chunksize or 0,
            timeout_ns=_nanoseconds(options.timeout) or self._timeout_ns,
            retries=self._retries,
            **extra,
        )

    def _collect(self, call: int, function: Callable[..., Any], items: Iterable[Any], options: _Options) -> list[Any]:
        if not isinstance(items, (list, tuple)):
            items = list(items)
        job = self._job(LIST, call, function, items, options)
        bar = Bar(len(items)) if options.progress else None
        try:
            self._drive(job, bar)
        except BaseException:
            self._forget(job)
            raise
        finally:
            if bar is not None:
                bar.end(job.done)
        if job.is_cancelled:
            self._forget(job)
            raise job.error if job.error is not None else self._broken or ValueError("the pool was terminated")
        results: list[Any] = job.results
        return results

    def map(
        self,
        function: Callable[[T], R],
        iterable: Iterable[T],
        chunksize: int | None = None,
        *,
        timeout: float | None = None,
        progress: bool = False,
        return_exceptions: bool = False,
    ) -> list[R]:
        """The results of `function` for each item, in the order of the items.

        `chunksize`: tasks a worker takes at a time; None for as many as run in 50 us. It changes no result: each task is
        reported for itself. `timeout`: seconds for each task. `progress`: a bar on stderr, where that is a terminal.
        The first exception of a task is raised here and cancels what has not begun; with `return_exceptions` exceptions
        take the place of results.
        """
        return self._collect(ONE, function, iterable, _Options(chunksize, timeout, progress, return_exceptions))

    def starmap(
        self,
        function: Callable[..., R],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        *,
        timeout: float | None = None,
        progress: bool = False,
        return_exceptions: bool = False,
    ) -> list[R]:
        """As :meth:`map`; each item is an iterable of the function's positional arguments."""
        return self._collect(STAR, function, iterable, _Options(chunksize, timeout, progress, return_exceptions))

    def _stream(
        self, kind: int, function: Callable[[T], R], iterable: Iterable[T], options: _Options
    ) -> ResultStream[R]:
        job = self._job(kind, ONE, function, iterable, options)
        bar = None
        if options.progress:
            bar = Bar(len(iterable) if isinstance(iterable, Sized) else None)
        return ResultStream(self, job, self._buffer, bar)

    def imap(
        self,
        function: Callable[[T], R],
        iterable: Iterable[T],
        chunksize: int | None = None,
        *,
        timeout: float | None = None,
        progress: bool = False,
        return_exceptions: bool = False,
    ) -> ResultStream[R]:
        """The results in the order of the items, as they are asked for.

        The iterable may be endless: it is read by the thread that asks, at most `buffer` (of the pool) items ahead of what
        was taken. An exception of a task is raised where its result would be; the stream goes on behind it.
        """
        return self._stream(ORDERED, function, iterable, _Options(chunksize, timeout, progress, return_exceptions))

    def imap_unordered(
        self,
        function: Callable[[T], R],
        iterable: Iterable[T],
        chunksize: int | None = None,
        *,
        timeout: float | None = None,
        progress: bool = False,
        return_exceptions: bool = False,
    ) -> ResultStream[R]:
        """As :meth:`imap`, in the order in which the results come."""
        return self._stream(UNORDERED, function, iterable, _Options(chunksize, timeout, progress, return_exceptions))

    def apply(self, function: Callable[..., R], args: Sequence[Any] = (), kwds: Mapping[str, Any] | None = None) -> R:
        """The result of ``function(*args, **kwds)``, run in a worker."""
        call, item = (KEYWORDS, (tuple(args), dict(kwds))) if kwds else (STAR, tuple(args))
        result: R = self._collect(call, function, (item,), _Options())[0]
        return result

    def _start_async(
        self, job: _pool.Job, is_one: bool, callbacks: tuple[Callable[..., object] | None, ...] = (None, None)
    ) -> AsyncResult[Any]:
        future: AsyncResult[Any] = with_callbacks(AsyncResult(self, job), *callbacks)

        def done() -> None:
            if not future._claim():
                return
            if job.is_cancelled:
                self._forget(job)
                future.set_exception(job.error or self._broken or ValueError("the pool was terminated"))
            else:
                future.set_result(job.results[0] if is_one else job.results)

        if job.is_complete:
            done()  # it has no tasks
            return future
        job.done_callback = done
        self._enqueue(job)
        return future

    def submit(self, function: Callable[..., R], /, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """A future of ``function(*args, **kwargs)``, as concurrent.futures.Executor.submit gives it."""
        return self._start_async(self._job_of_one(function, args, kwargs), True)

    def _job_of_one(self, function: Callable[..., Any], args: Sequence[Any], kwds: Mapping[str, Any]) -> _pool.Job:
        call, item = (KEYWORDS, (tuple(args), dict(kwds))) if kwds else (STAR, tuple(args))
        return self._job(LIST, call, function, (item,), _Options())

    def apply_async(
        self,
        function: Callable[..., R],
        args: Sequence[Any] = (),
        kwds: Mapping[str, Any] | None = None,
        callback: Callable[[R], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[R]:
        """As :meth:`submit`; the callbacks get the result, or the error, in another thread."""
        return self._start_async(self._job_of_one(function, args, kwds or {}), True, (callback, error_callback))

    def map_async(
        self,
        function: Callable[[T], R],
        iterable: Iterable[T],
        chunksize: int | None = None,
        callback: Callable[[list[R]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[R]]:
        """As :meth:`map`, without waiting."""
        job = self._job(LIST, ONE, function, list(iterable), _Options(chunksize))
        return self._start_async(job, False, (callback, error_callback))

    def starmap_async(
        self,
        function: Callable[..., R],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[R]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[R]]:
        """As :meth:`starmap`, without waiting."""
        job = self._job(LIST, STAR, function, list(iterable), _Options(chunksize))
        return self._start_async(job, False, (callback, error_callback))

    # The end

    def close(self) -> None:
        """Takes no more tasks; those it has are done. Returns at once: :meth:`join` waits."""
        self._is_closed = True

    def terminate(self) -> None:
        """Kills the workers; tasks without a result fail with ValueError.

        The handler of a signal may call it: where the signal came while this thread ran the pool, workers are killed
        when the handler has returned.
        """
        if self._broken is not None or os.getpid() != self._owner:
            return
        self._is_closed = True
        if get_ident() in self._holders:
            self._is_doomed = True
            self._core.kick()
            return
        self._core.kick()
        while not self._take(0.05):
            self._core.kick()
        try:
            if self._broken is None:
                self._break(ValueError("the pool was terminated"))
        finally:
            self._release()
        self._deliver()

    def join(self) -> None:
        """Waits for all tasks, then for the workers to leave. Raises ValueError unless :meth:`close` or
        :meth:`terminate` was called. What a stream has not taken from its source by then is not run."""
        self._check_owner()
        if not self._is_closed:
            raise ValueError("the pool still takes tasks; close() it first")
        end = FEED
        while self._broken is None and not (end == IDLE and self._is_alone()):
            if end == IDLE:
                self._await_others()
            end = self._turn()
            self._deliver()
        self._leave()

    def _is_alone(self) -> bool:
        """Whether no other thread is busy with a job."""
        me = get_ident()
        return all(ident == me for ident in self._busy[:])

    def _await_others(self) -> None:
        event = threading.Event()
        self._waiters.append(event)
        try:
            if not self._is_alone() and self._broken is None:
                event.wait()
        finally:
            self._waiters.remove(event)

    def _leave(self) -> None:
        """Lets the workers run to their own end, so that what they print and the names of their arrays are not left."""
        self._take()
        try:
            if self._broken is not None:
                return
            self._is_ending = True
            self._core.close()
            poll = select.poll()
            poll.register(self._control, select.POLLIN)
            while self._broken is None and self._alive > 0:
                if not poll.poll(END_S * 1000):
                    break
                self._attend()
            if self._broken is None:
                self._break(ValueError("the pool is closed"))
        finally:
            self._release()
        self._deliver()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if os.getpid() != self._owner:
            return  # a forked child leaves its parent's pool alone
        if kind is None:
            self.close()
            self.join()
        else:
            self.terminate()

    @property
    def pids(self) -> list[int]:
        """The workers' process ids, as far as they are known; a worker that is being replaced has none."""
        is_free = os.getpid() == self._owner and get_ident() not in self._holders
        if is_free and self._broken is None and self._take(0):
            try:
                self._attend()
            finally:
                self._release()
            self._deliver()
        return [pid for pid in self._pids if pid is not None]

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else self._start_method
        return f"<Pool workers={self._workers} {state}>"


class _Options:
    __slots__ = ("chunksize", "progress", "return_exceptions", "timeout")

    def __init__(
        self,
        chunksize: int | None = None,
        timeout: float | None = None,
        progress: bool = False,
        return_exceptions: bool = False,
    ) -> None:
        self.chunksize = chunksize
        self.timeout = timeout
        self.progress = progress
        self.return_exceptions = return_exceptions
