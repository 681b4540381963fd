"""Mergeable summaries of streams.

- :class:`HyperLogLog` - how many distinct items, in at most 16 KiB.
- :class:`DDSketch` - quantiles within 1 % of the value.
- :class:`SpaceSaving` - the heaviest items, as :class:`HeavyItem` rows.

Each may be split over threads, processes or machines and merged: the result is that of one sketch over the whole stream
(for SpaceSaving: with the same bounds).

    >>> from sidewinder.sketch import DDSketch
    >>> latencies = DDSketch()
    >>> latencies.update([0.012, 0.013, 0.4])
    >>> round(latencies.quantile(0.5), 3)
    0.013
"""

from sidewinder._sketch import DDSketch, HeavyItem, HyperLogLog, SpaceSaving

__all__ = ["DDSketch", "HeavyItem", "HyperLogLog", "SpaceSaving"]
