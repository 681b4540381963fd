"""What the methods of a :class:`sidewinder.Pool` return before there is a result: a future, or a stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from sidewinder import _pool
    from sidewinder.pool import Pool
    from sidewinder.pool_progress import Bar

__all__ = ["AsyncResult", "Failure", "ResultStream", "with_callbacks"]

R = TypeVar("R")


class Failure:
    """An error as an item of a stream."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class AsyncResult(Future[R]):
    """A :class:`concurrent.futures.Future` that can also be asked as multiprocessing's AsyncResult is."""

    def __init__(self, pool: Pool | None = None, job: _pool.Job | None = None) -> None:
        super().__init__()
        self._pool = pool
        self._job = job

    def get(self, timeout: float | None = None) -> R:
        """The result; raises what the task raised, TimeoutError after `timeout` seconds."""
        return self.result(timeout)

    def wait(self, timeout: float | None = None) -> None:
        """Returns when the result is there, or after `timeout` seconds."""
        wait([self], timeout)

    def ready(self) -> bool:
        """Whether the result, or an error, is there."""
        return self.done()

    def successful(self) -> bool:
        """Whether there was no error. Raises ValueError when it is not ready()."""
        if not self.done():
            raise ValueError(f"{self!r} is not ready")
        return not self.cancelled() and self.exception() is None

    def cancel(self) -> bool:
        """Cancels the task unless it is done; one that has begun runs on, and its result is dropped."""
        is_cancelled = super().cancel()
        job = self._take_job() if is_cancelled else None
        if job is not None:
            self.set_running_or_notify_cancel()  # wait() returns only from then on
            if self._pool is not None:
                self._pool._forget(job)
        return is_cancelled

    def _take_job(self) -> _pool.Job | None:
        """The job, for the one who ends the future: only the first call gets it."""
        job: _pool.Job | None = self.__dict__.pop("_job", None)
        return job

    def _claim(self) -> bool:
        """Whether the caller is to give the future its result: nobody did, and it was not cancelled."""
        return self._take_job() is not None and self.set_running_or_notify_cancel()


class ResultStream(Generic[R]):
    """The results of :meth:`Pool.imap`: an iterator; dropping or closing it cancels what has not begun."""

    def __init__(self, pool: Pool, job: _pool.Job, limit: int, bar: Bar | None) -> None:
        self._pool = pool
        self._job = job
        self._bar = bar
        self._refill = max(1, limit // 4)
        self._since = 0
        pool._feed_ahead(job)

    def __iter__(self) -> Iterator[R]:
        return self

    def __next__(self) -> R:
        return self.next()

    def next(self, timeout: float | None = None) -> R:
        """The next result; raises what its task raised (and can be asked again for the one after), TimeoutError after
        `timeout` seconds, StopIteration at the end."""
        job = self._job
        self._since += 1
        if self._since >= self._refill:
            self._since = 0
            self._pool._feed_ahead(job)
        try:
            value = job.take()
        except LookupError:
            value = self._wait(timeout)
        if self._bar is not None:
            self._bar.show(job.taken)
        if type(value) is Failure:
            raise value.error
        return value  # type: ignore[no-any-return]

    def _wait(self, timeout: float | None) -> Any:
        job = self._job
        deadline = None if timeout is None else time.monotonic_ns() + int(timeout * 1e9)
        if not self._pool._drive(job, self._bar, deadline):
            raise TimeoutError("no result yet")
        try:
            return job.take()
        except LookupError:
            if self._bar is not None:
                self._bar.end()
            if job.is_cancelled and self._pool._broken is not None:
                raise self._pool._broken from None
            raise StopIteration from None

    def close(self) -> None:
        """Cancels the tasks that have not begun; the results of the others are dropped."""
        self._pool._forget(self._job)

    def __del__(self) -> None:
        if hasattr(self, "_job") and not self._job.is_complete:
            self.close()


def with_callbacks(
    future: AsyncResult[R],
    callback: Callable[[R], object] | None,
    error_callback: Callable[[BaseException], object] | None,
) -> AsyncResult[R]:
    def call(done: Future[R]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is None and callback is not None:
            callback(done.result())
        elif error is not None and error_callback is not None:
            error_callback(error)

    if callback is not None or error_callback is not None:
        future.add_done_callback(call)
    return future
