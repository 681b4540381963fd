"""Sidewinder - streams analysed live, and Python programs taken past CPython's limits.

The package is a thin, typed layer over the C library:

- :mod:`sidewinder.sketch` - mergeable summaries of streams: distinct counts, quantiles, heavy hitters.
"""

from sidewinder._library import version as __version__

__all__ = ["__version__"]
