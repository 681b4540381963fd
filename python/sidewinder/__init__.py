"""Sidewinder - streams analysed live, and Python programs taken past CPython's limits.

The package is a thin, typed layer over the C library:

- :mod:`sidewinder.sketch` - mergeable summaries of streams: distinct counts, quantiles, heavy hitters.
- :mod:`sidewinder.fastmath` - arithmetic on arrays of numbers; :mod:`sidewinder.slowmath` - the same in plain Python.
- :class:`Pool` - worker processes over shared memory; :class:`SharedArray` - arrays that several processes see at once.
- :class:`Array` - what fastmath returns: numbers in any shape, with the buffer protocol.
"""

from typing import TYPE_CHECKING

from sidewinder._library import version as __version__

if TYPE_CHECKING:
    from sidewinder._fastmath import Array
    from sidewinder.pool import Pool
    from sidewinder.shared_array import SharedArray

__all__ = ["Array", "Pool", "SharedArray", "__version__"]

# Names whose modules are loaded at their first use, so that `import sidewinder` stays cheap.
_HOMES = {
    "Array": "sidewinder._fastmath",
    "Pool": "sidewinder.pool",
    "SharedArray": "sidewinder.shared_array",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
