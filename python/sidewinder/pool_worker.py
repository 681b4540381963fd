"""What runs in the processes of a :class:`sidewinder.Pool`: the template, which forks workers and buries them, and workers.

The template is a copy of the owner made when the pool starts (or, with forkserver, a fresh interpreter). It has one
thread, so it can fork at any time, and workers that are replaced begin as the first ones did. It is the workers' parent:
each has the kernel kill it when the template ends (PR_SET_PDEATHSIG), and the template ends when the owner does, which a
pidfd tells it.

Messages between owner and template are datagrams: a letter, the number of a worker, an integer, and for ``I`` a pickle.
Only the template has its end of that socket, so that the owner sees it end. What a worker has to say of its initializer
goes to the template, which reads it when it buries the worker.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from sidewinder import _pool
from sidewinder.pool_error import pack_error

__all__ = ["MESSAGE", "Settings", "main", "run_template"]

is_preparing = False  # while the main module is imported here
is_worker = False  # whether this process is a worker
MESSAGE = struct.Struct("<cIi")
REPORT_BYTES = 100_000  # of a message about an initializer, at most; a datagram of twice that is refused
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


@dataclass
class Settings:
    """What a worker needs to know; with forkserver it is pickled."""

    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]
    max_tasks: int  # 0: no limit
    blas_threads: int  # 0: as they are


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def _on_idle() -> None:
    shared = sys.modules.get("sidewinder.shared_array")
    if shared is not None:
        shared.forget_attached()


def _remove_names() -> None:
    shared = sys.modules.get("sidewinder.shared_array")
    if shared is not None:
        shared.remove_names()


def _run_worker(
    lane: int, template: int, report: socket.socket, segment: _pool.Segment, wake_fd: int, settings: Settings
) -> NoReturn:
    """Ends by os._exit: what the owner registered with atexit is the owner's, so no exit handlers run here."""
    global is_worker
    is_worker = True
    status = 1
    try:
        _pool.die_with_parent(template)
        if settings.initializer is not None:
            try:
                settings.initializer(*settings.initargs)
            except BaseException as error:
                report.send(MESSAGE.pack(b"I", lane, 0) + pack_error(error, REPORT_BYTES))
                os._exit(1)
        _pool.work(segment, lane, wake_fd, pack_error, _on_idle, settings.max_tasks)
        _remove_names()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status)


class _Template:
    def __init__(
        self, control: socket.socket, owner: int, segment: _pool.Segment, wake_fd: int, settings: Settings
    ) -> None:
        self.control = control
        self.segment = segment
        self.wake_fd = wake_fd
        self.settings = settings
        self.workers: dict[int, tuple[int, int]] = {}  # by pidfd: lane, pid
        self.reports, self.report = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.poll = select.poll()
        self.owner_fd = os.pidfd_open(owner)
        self.poll.register(self.owner_fd, select.POLLIN)
        self.poll.register(control, select.POLLIN)

    def spawn(self, lane: int) -> None:
        template = os.getpid()
        pid = os.fork()
        if pid == 0:
            self.control.close()
            self.reports.close()
            os.close(self.owner_fd)
            for fd in self.workers:
                os.close(fd)
            _run_worker(lane, template, self.report, self.segment, self.wake_fd, self.settings)
        fd = os.pidfd_open(pid)
        self.workers[fd] = (lane, pid)
        self.poll.register(fd, select.POLLIN)
        self.control.send(MESSAGE.pack(b"B", lane, pid))

    def bury(self, fd: int) -> None:
        lane, pid = self.workers.pop(fd)
        self.poll.unregister(fd)
        os.close(fd)
        _, status = os.waitpid(pid, 0)
        self.forward()
        self.control.send(MESSAGE.pack(b"D", lane, status))

    def forward(self) -> None:
        """Tells the owner what workers said before they ended. One that finds no room for it waits for the others."""
        while True:
            try:
                self.control.send(self.reports.recv(2 * REPORT_BYTES, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return

    def kill(self, lane: int) -> None:
        for of, pid in self.workers.values():
            if of == lane:
                os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own

    def obey(self) -> bool:
        message = self.control.recv(64)
        if not message:
            return False
        letter, lane, _ = MESSAGE.unpack(message)
        if letter == b"S":
            self.spawn(lane)
        elif letter == b"K":
            self.kill(lane)
        return bool(letter != b"Q")

    def run(self) -> None:
        for lane in range(self.segment.workers):
            self.spawn(lane)
        while True:
            for fd, _ in self.poll.poll():
                if fd == self.owner_fd:
                    return
                if fd == self.control.fileno():
                    if not self.obey():
                        return
                elif fd in self.workers:
                    self.bury(fd)

    def end(self) -> None:
        for _, pid in self.workers.values():
            os.kill(pid, signal.SIGKILL)
        for _, pid in self.workers.values():
            os.waitpid(pid, 0)


def run_template(
    control: socket.socket, owner: int, segment: _pool.Segment, wake_fd: int, settings: Settings
) -> NoReturn:
    """Forks and buries workers as it is told, until the owner ends or says so."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        _pool.reset_signals()
        gc.freeze()
        os.dup2(
            os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0
        )  # two readers of one terminal would share out its lines
        if settings.blas_threads:
            for name in THREAD_VARIABLES:
                os.environ[name] = str(settings.blas_threads)  # for libraries that are loaded from now on
        template = _Template(control, owner, segment, wake_fd, settings)
        try:
            template.run()
        finally:
            template.end()
        status = 0
    except (BrokenPipeError, ConnectionError):
        pass  # the owner is gone, and its end of the socket was closed first
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def main(control_fd: int, segment_fd: int, wake_fd: int, start_fd: int, owner: int) -> NoReturn:
    """The template of the start method forkserver: a fresh interpreter that is told the rest through `start_fd`."""
    from multiprocessing import spawn

    with open(start_fd, "rb") as file:
        preparation, settings_pickle = pickle.load(file)
    global is_preparing
    is_preparing = True
    spawn.prepare(preparation)
    is_preparing = False
    settings = pickle.loads(settings_pickle)
    for fd in (control_fd, segment_fd, wake_fd):
        os.set_inheritable(fd, False)  # the programs that tasks start have no use for them
    control = socket.socket(fileno=control_fd)
    run_template(control, owner, _pool.Segment(fd=segment_fd), wake_fd, settings)
