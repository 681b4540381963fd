"""The errors of a :class:`sidewinder.Pool`, and how those that tasks raise travel."""

from __future__ import annotations

import os
import pickle
import signal
import traceback

__all__ = ["BrokenPool", "RemoteTraceback", "WorkerDied", "describe_exit", "pack_error", "unpack_error"]


class WorkerDied(RuntimeError):  # noqa: N818 - says what happened
    """The worker that ran the task died: it was killed, crashed or left by os._exit().

    `signal` is the number of the signal, or None; `exitcode` the exit code, or None.
    """

    def __init__(self, message: str, signal: int | None = None, exitcode: int | None = None) -> None:
        super().__init__(message, signal, exitcode)
        self.signal = signal
        self.exitcode = exitcode

    def __str__(self) -> str:
        return str(self.args[0])


class BrokenPool(RuntimeError):  # noqa: N818 - the name concurrent.futures has
    """The pool cannot go on: its workers do not start, or its template process was killed."""


class RemoteTraceback(Exception):  # noqa: N818 - the name multiprocessing has
    """The cause of an exception that a task raised: the text of its traceback in the worker."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def unpack_error(packed: bytes) -> BaseException:
    """What pack_error made; without bytes, the worker had no memory left to say why."""
    if not packed:
        return RuntimeError("the task failed, and why could not be told: the worker was out of memory")
    error, text = pickle.loads(packed)
    error.__cause__ = RemoteTraceback(text)
    assert isinstance(error, BaseException)
    return error


def _describe(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}: {error}"


def pack_error(error: BaseException, limit: int | None = None) -> bytes:
    """An exception and the text of its traceback, as bytes. One that cannot be pickled, or takes more than `limit`
    bytes, is replaced by its description."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if not isinstance(error, Exception):
        # Raised where the result is asked for, SystemExit or KeyboardInterrupt would end the owner.
        error = RuntimeError(f"the task raised {type(error).__name__}({', '.join(map(repr, error.args))})")
    try:
        packed = pickle.dumps((error, text), 5)
        pickle.loads(packed)
    except Exception:
        described = _describe(error)
        packed = pickle.dumps(
            (RuntimeError(f"the task raised an exception that cannot be pickled: {described}"), text), 5
        )
    if limit is not None and len(packed) > limit:
        letters = limit // 10  # a letter takes 4 bytes at most
        packed = pickle.dumps((RuntimeError(_describe(error)[:letters]), text[-letters:]), 5)
    return packed


def describe_exit(status: int) -> tuple[str, int | None, int | None]:
    """What a wait status means: in words, the signal or None, the exit code or None."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        hint = " (out of memory?)" if number == signal.SIGKILL else ""
        return f"was killed by {name}{hint}", number, None
    code = os.WEXITSTATUS(status)
    return f"left with exit code {code}", None, code
