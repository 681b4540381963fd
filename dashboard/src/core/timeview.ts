/* timeview.ts - Which stretch of event time is shown: the last minutes of the data, a zoom, or a frozen moment. */
import type { Range } from "./scale";
import type { RangeName } from "./urlstate";

const RANGE_MS: Record<Exclude<RangeName, "all">, number> = { "1m": 60e3, "5m": 300e3, "15m": 900e3 };

const YOUNG_MS = 60e3; /* a job that has just begun fills its charts; they grow to the range */

interface Extent {
  first: number;
  last: number;
}

export class TimeView {
  range: RangeName = "5m";
  zoom: Range | null = null;
  private keepMs = new Map<string, number>();
  private extents = new Map<string, Map<object, Extent>>();
  private live = new Map<string, Extent>();
  private frozen: Map<string, Extent> | null = null;

  /* How much of the past the engine keeps of each stream. */
  setStreams(streams: readonly { name: string; window_ns: number }[], keepWindows: number): void {
    this.keepMs = new Map(streams.map((s) => [s.name, Math.max(1, keepWindows) * (s.window_ns / 1e6)]));
    this.reset();
  }

  reset(): void {
    this.extents.clear();
    this.live.clear();
    this.frozen = null;
  }

  /* Of the range chosen, in seconds, for the subscription. */
  rangeSeconds(stream: string): number {
    return (this.range === "all" ? (this.keepMs.get(stream) ?? 600e3) : RANGE_MS[this.range]) / 1e3;
  }

  /* `source` holds points from first to last now. True if the stream's view moved. */
  report(stream: string, source: object, first: number, last: number): boolean {
    let sources = this.extents.get(stream);
    if (sources === undefined) this.extents.set(stream, (sources = new Map()));
    sources.set(source, { first, last });
    const extent = { first: Infinity, last: -Infinity };
    for (const one of sources.values()) {
      extent.first = Math.min(extent.first, one.first);
      extent.last = Math.max(extent.last, one.last);
    }
    const before = this.live.get(stream);
    this.live.set(stream, extent);
    if (this.frozen !== null && !this.frozen.has(stream)) this.frozen.set(stream, extent);
    return (
      before === undefined || before.last !== extent.last || (this.range === "all" && before.first !== extent.first)
    );
  }

  freeze(): void {
    this.frozen ??= new Map(this.live);
  }

  thaw(): void {
    this.frozen = null;
  }

  /* Streams that are about equally far share one view; one that is far behind the others has its own. It is no wider
   * than what there is. Null without data. */
  domain(stream: string): Range | null {
    if (this.zoom !== null) return this.zoom;
    const extents = this.frozen ?? this.live;
    const newest = Math.max(...[...extents.values()].map((e) => e.last));
    const own = extents.get(stream) ?? (extents.size > 0 ? { first: newest, last: newest } : undefined);
    if (own === undefined) return null;
    const width = this.rangeSeconds(stream) * 1e3;
    const isWithOthers = newest - own.last < width;
    const last = isWithOthers ? newest : own.last;
    const oldest = isWithOthers
      ? Math.min(...[...extents.values()].filter((e) => last - e.last < width).map((e) => e.first))
      : own.first;
    const least = this.range === "all" ? 1e3 : Math.min(width, YOUNG_MS);
    return { min: Math.max(last - width, Math.min(oldest, last - least)), max: last };
  }

  /* Of everything, for the ribbon. */
  whole(): Range | null {
    if (this.zoom !== null) return this.zoom;
    const extents = this.frozen ?? this.live;
    let leader: string | null = null;
    for (const [stream, extent] of extents)
      if (leader === null || extent.last > extents.get(leader)!.last) leader = stream;
    return leader === null ? null : this.domain(leader);
  }
}
