"""How a function travels to the workers of a :class:`sidewinder.Pool`: by its name, or a lambda by its code."""

from __future__ import annotations

import importlib
import marshal
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

__all__ = ["pack_function"]


def _pack_by_value(function: types.FunctionType) -> bytes:
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    if any(value is function for value in cells):
        raise pickle.PicklingError(
            f"cannot send {function.__qualname__}: it refers to itself through its closure; move it to the top of its module"
        )
    parts = (
        marshal.dumps(function.__code__),
        function.__module__,
        function.__qualname__,
        function.__defaults__,
        function.__kwdefaults__,
        cells,
    )
    return pickle.dumps(_Call(_build, parts), 5)


class _Call:
    """Pickles as the result of a call."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.parts = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.parts


def _is_builtin(function: object) -> bool:
    """Whether it is a function of a C module; a method of an object, such as ``{}.get``, has the same type."""
    home = getattr(function, "__self__", None)
    return isinstance(function, types.BuiltinFunctionType) and (home is None or isinstance(home, types.ModuleType))


def pack_function(function: Callable[..., Any]) -> tuple[bytes, bool]:
    """The function for a worker, and whether it is only named, so that the bytes stay right."""
    is_plain = isinstance(function, (types.FunctionType, type)) or _is_builtin(function)
    try:
        return pickle.dumps(function, 5), is_plain
    except (pickle.PicklingError, AttributeError):
        if not isinstance(function, types.FunctionType):
            raise
        return _pack_by_value(function), False


def _build(
    code: bytes, module: str, name: str, defaults: Any, keyword_defaults: Any, cells: tuple[Any, ...]
) -> types.FunctionType:
    """A function from its code, with the globals its module has here; the inverse of _pack_by_value."""
    home = sys.modules.get(module) or importlib.import_module(module)
    closure = tuple(types.CellType(value) for value in cells)
    function = types.FunctionType(marshal.loads(code), home.__dict__, name, defaults, closure)
    function.__kwdefaults__ = keyword_defaults
    function.__module__ = module
    return function
