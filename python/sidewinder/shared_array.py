"""Arrays that several processes see at once.

A :class:`SharedArray` is memory of the kernel's, not of a process: it has a shape and a type, gives its elements by the
buffer protocol, and travels between processes as a handle of a few bytes. Passed to a :class:`sidewinder.Pool` it costs
nothing, and so do NumPy views of it.

    >>> from sidewinder import Pool, SharedArray
    >>> with SharedArray.create((2, 3)) as table:
    ...     memoryview(table)[1, 2] = 5.0
    ...     table.tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 5.0]]

Without a name the memory is anonymous: nothing can be left behind. With one it is a file in /dev/shm, which notes the
process that made it; that process removes it, and where it was killed, the next one to create a named array does. No
resource tracker takes part.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import sys
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sidewinder import _pool

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["SharedArray"]

FOLDER = Path("/dev/shm")
PREFIX = "sidewinder."
PAGE = 4096
KEPT = 8  # arrays a process that was sent them keeps mapped, so that the next task need not map them again

_FORMATS = {
    "bool": ("?", 1),
    "int8": ("b", 1),
    "int16": ("h", 2),
    "int32": ("i", 4),
    "int64": ("q", 8),
    "uint8": ("B", 1),
    "uint16": ("H", 2),
    "uint32": ("I", 4),
    "uint64": ("Q", 8),
    "float32": ("f", 4),
    "float64": ("d", 8),
    "complex64": ("Zf", 8),
    "complex128": ("Zd", 16),
}
_NAMES = {letters: name for name, (letters, _) in _FORMATS.items()}
_COMPLEX: dict[str, Literal["f", "d"]] = {"Zf": "f", "Zd": "d"}  # of their parts
_PLAIN = {"float": "float64", "int": "int64", "complex": "complex128"}

_known: weakref.WeakValueDictionary[tuple[Any, ...], SharedArray] = weakref.WeakValueDictionary()
_kept: OrderedDict[tuple[Any, ...], SharedArray] = OrderedDict()


def _type_name(dtype: Any) -> str:
    """What the type is called here: from NumPy's dtypes and scalar types, Python's types, names and format letters."""
    name = str(dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or getattr(dtype, "__name__", ""))
    name = _PLAIN.get(name, _NAMES.get(name, name))
    if name not in _FORMATS:
        raise TypeError(f"a shared array of {dtype!r} is not possible; the types are {', '.join(_FORMATS)}")
    return name


def _start_time(pid: int) -> str | None:
    """When the process started, in the kernel's ticks; None where it is not there any more."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return text.rpartition(b")")[2].split()[19].decode()


def _trailer_at(size: int) -> int:
    return (max(size, 1) + PAGE - 1) // PAGE * PAGE


def _read_trailer(fd: int) -> dict[str, Any]:
    size = os.fstat(fd).st_size
    trailer = os.pread(fd, PAGE, size - PAGE) if size >= 2 * PAGE else b""
    try:
        notes = json.loads(trailer.rstrip(b"\0"))
    except ValueError:
        notes = None
    if not isinstance(notes, dict) or notes.get("kind") != "sidewinder.SharedArray":
        raise ValueError("the file is not a shared array")
    return notes


def _remove_file(path: Path, fd: int) -> None:
    """Removes the name of a file that is open, unless the name is another file's by now.

    Two processes may find the same file at once. Who has its lock may remove it, so a name can be another file's only
    after that, and whoever comes second sees so.
    """
    fcntl.flock(fd, fcntl.LOCK_EX)
    if os.path.samestat(os.fstat(fd), path.lstat()):
        path.unlink()


def _remove_stale() -> None:
    """Removes the named arrays whose makers were killed."""
    for path in FOLDER.glob(PREFIX + "*"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            notes = _read_trailer(fd)
            if os.fstat(fd).st_uid == os.getuid() and _start_time(notes["pid"]) != notes["start"]:
                _remove_file(path, fd)
        except (OSError, ValueError, KeyError):
            pass
        finally:
            os.close(fd)


def _path(name: str) -> Path:
    if not name or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} cannot name a shared array; names have no slash")
    return FOLDER / (PREFIX + name)


def _link(fd: int, path: Path) -> None:
    """Gives a file without a name one; FileExistsError where something has it."""
    folder = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(str(fd), path, src_dir_fd=folder, follow_symlinks=True)
    except FileExistsError as error:
        name = path.name.removeprefix(PREFIX)
        raise FileExistsError(error.errno, "another living process has a shared array of this name", name) from None
    finally:
        os.close(folder)


def _unlink(owner: int, path: Path) -> None:
    if os.getpid() == owner:
        path.unlink(missing_ok=True)


def _nest(elements: list[Any], shape: tuple[int, ...]) -> Any:
    """The elements, in C order, as lists in lists."""
    if len(shape) < 2:
        return elements if shape else elements[0]
    step = len(elements) // shape[0] if shape[0] else 0
    return [_nest(elements[at * step :][:step], shape[1:]) for at in range(shape[0])]


class SharedArray(_pool.SharedBlock):
    """A C-contiguous array in shared memory. Made by :meth:`create`, :meth:`copy_of` or :meth:`attach`.

    The process that created an array with a name owns the name: the name goes when the object does, at the end of its
    `with` block, or when that process exits. The memory goes when nobody uses it any more, named or not.
    Nothing orders what several processes write at once; that is the caller's part.
    """

    name: str | None
    _finalizer: Any

    @classmethod
    def create(cls, shape: int | Iterable[int], dtype: Any = "float64", *, name: str | None = None) -> Self:
        """A new array of zeros.

        `dtype`: bool, int8 to int64, uint8 to uint64, float32, float64, complex64 or complex128, as a name, a NumPy dtype
        or a Python type. `name`: what others attach() to it by; FileExistsError where a living process has it.
        """
        extents = (shape,) if isinstance(shape, int) else tuple(int(extent) for extent in shape)
        if any(extent < 0 for extent in extents):
            raise ValueError(f"a shared array of shape {extents} is not possible")
        letters, itemsize = _FORMATS[_type_name(dtype)]
        size = itemsize * math.prod(extents)
        if name is None:
            fd = os.memfd_create("sidewinder-array", os.MFD_CLOEXEC)
        else:
            path = _path(name)
            _remove_stale()
            fd = os.open(FOLDER, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, _trailer_at(size) + PAGE)
            notes = {"kind": "sidewinder.SharedArray", "shape": extents, "format": letters, "itemsize": itemsize}
            notes |= {"pid": os.getpid(), "start": _start_time(os.getpid())}
            os.pwrite(fd, json.dumps(notes).encode(), _trailer_at(size))
            if name is not None:
                _link(fd, path)
            self = cls(fd, extents, letters, itemsize)
        except BaseException:
            os.close(fd)
            raise
        self._set(name)
        if name is not None:
            self._finalizer = weakref.finalize(self, _unlink, os.getpid(), path)
        return self

    @classmethod
    def copy_of(cls, array: Any, *, name: str | None = None) -> Self:
        """A new array with the shape, type and elements of a C-contiguous buffer, such as a NumPy array."""
        with memoryview(array) as source:
            if not source.c_contiguous:
                raise BufferError("the array is not C-contiguous; copy it first")
            letters = source.format.lstrip("@=<")
            letters = {"l": "q", "L": "Q"}.get(letters, letters)  # C long: 8 bytes wherever this runs
            self = cls.create(source.shape or (), letters, name=name)
            if source.nbytes:
                memoryview(self).cast("B")[:] = source.cast("B")
        return self

    @classmethod
    def attach(cls, name: str) -> Self:
        """The array that another process, or this one, created with this name. Raises FileNotFoundError."""
        fd = os.open(_path(name), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            notes = _read_trailer(fd)
            self = cls(fd, tuple(notes["shape"]), notes["format"], notes["itemsize"])
        except BaseException:
            os.close(fd)
            raise
        self._set(name)
        return self

    def _set(self, name: str | None) -> None:
        self.name = name
        self._finalizer = None
        _known[self._key()] = self

    def _key(self) -> tuple[Any, ...]:
        _, _, device, inode, _ = self.handle()
        return (device, inode, self.shape, self.format)

    @property
    def dtype(self) -> str:
        """The name of the type, such as "float64"."""
        return _NAMES[self.format]

    @property
    def is_owner(self) -> bool:
        """Whether this object's end is the end of the name."""
        return self._finalizer is not None and bool(self._finalizer.alive)

    def numpy(self) -> Any:
        """A NumPy array over the same memory; it keeps the memory alive. Raises ImportError without NumPy."""
        import numpy

        return numpy.asarray(self)

    def tolist(self) -> Any:
        """The elements as nested lists."""
        if not self.nbytes:
            return _nest([], self.shape)
        view = memoryview(self)
        if self.format not in _COMPLEX:
            return view.tolist()
        numbers = memoryview(view.tobytes()).cast(_COMPLEX[self.format])
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return _nest([complex(*pair) for pair in pairs], self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without dimensions")
        return self.shape[0]

    def unlink(self) -> None:
        """Removes the name; who has the array keeps it. No-op where there is none, or it is not this object's."""
        if self._finalizer is not None:
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlink()
        try:
            self.close()
        except BufferError:
            pass  # views live on; the memory goes with the last of them

    def __reduce__(self) -> tuple[Any, ...]:
        return (_receive, (self.handle(), self.shape, self.format, self.itemsize, self.name))

    def __repr__(self) -> str:
        state = " closed" if self.closed else f" name={self.name!r}" if self.name else ""
        return f"<SharedArray shape={self.shape} dtype={self.dtype}{state}>"


def _receive(
    handle: tuple[int, int, int, int, int], shape: tuple[int, ...], letters: str, itemsize: int, name: str | None
) -> SharedArray:
    """What a pickled SharedArray becomes: the one this process has already, else a new mapping."""
    key = (handle[2], handle[3], shape, letters)
    array = _known.get(key)
    if array is None or array.closed:
        fd = SharedArray.reopen(*handle)
        try:
            array = SharedArray(fd, shape, letters, itemsize)
        except BaseException:
            os.close(fd)
            raise
        array._set(name)
        if _is_worker():
            _kept[key] = array
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
    return array


def _is_worker() -> bool:
    worker = sys.modules.get("sidewinder.pool_worker")
    return worker is not None and bool(worker.is_worker)


def forget_attached() -> None:
    """Lets go of the arrays that were kept in case they come again; workers do so when they are idle."""
    _kept.clear()


def remove_names() -> None:
    """Removes the names that this process made; workers do so at their end, which runs no exit handlers."""
    for array in list(_known.values()):
        array.unlink()
