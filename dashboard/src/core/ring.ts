/* ring.ts - The points of one chart in typed arrays: the newest up to a capacity, contiguous for the painter.
 *
 * Columns grow up to the capacity plus a quarter; when they are full the oldest points are moved out in one copy, so
 * that appending costs O(1) on average and memory is bounded however long the page stays open.
 */
import type { Key, SeriesFrame } from "./protocol";
import { isSameKey } from "./protocol";

const FIRST_SIZE = 128;

export class SeriesRing {
  private times = new Float64Array(0);
  private values: Float64Array[] = [];
  private scores: Float32Array[] = [];
  private start = 0;
  private end = 0;
  private size = 0;
  keys: Key[] = [];
  isLastOpen = false;
  version = 0; /* changes with every change of the content */

  constructor(
    readonly aggregates: number,
    private capacity: number,
  ) {}

  get length(): number {
    return this.end - this.start;
  }

  get firstTime(): number {
    return this.length > 0 ? this.times[this.start]! : NaN;
  }

  get lastTime(): number {
    return this.length > 0 ? this.times[this.end - 1]! : NaN;
  }

  get bytes(): number {
    return this.size * (8 + this.keys.length * (8 * this.aggregates + 4));
  }

  timeView(): Float64Array {
    return this.times.subarray(this.start, this.end);
  }

  valueView(series: number, aggregate: number): Float64Array {
    return this.values[series * this.aggregates + aggregate]!.subarray(this.start, this.end);
  }

  scoreView(series: number): Float32Array {
    return this.scores[series]!.subarray(this.start, this.end);
  }

  clear(): void {
    this.start = this.end = 0;
    this.isLastOpen = false;
    this.version++;
  }

  setCapacity(capacity: number): void {
    this.capacity = capacity;
    if (this.length > capacity) this.start = this.end - capacity;
  }

  /* Keys that were there keep their points, wherever they are now. */
  setKeys(keys: Key[]): void {
    const from = keys.map((key) => this.keys.findIndex((old) => isSameKey(old, key)));
    const oldValues = this.values;
    const oldScores = this.scores;
    this.values = [];
    this.scores = from.map((i) => oldScores[i] ?? new Float32Array(this.size));
    for (const i of from) {
      for (let a = 0; a < this.aggregates; a++) {
        this.values.push(oldValues[i * this.aggregates + a] ?? new Float64Array(this.size).fill(NaN));
      }
    }
    this.keys = keys;
    this.version++;
  }

  /* Throws where the frame does not fit the keys of the last `series` message. */
  apply(frame: SeriesFrame): void {
    if (frame.series !== this.keys.length || frame.aggregates !== this.aggregates) {
      throw new RangeError(
        `a frame of ${frame.series} x ${frame.aggregates} for ${this.keys.length} x ${this.aggregates}`,
      );
    }
    if (frame.isReset) this.clear();
    for (let p = 0; p < frame.points; p++) this.write(this.place(frame.times[p]!), frame, p);
    if (this.length > this.capacity) this.start = this.end - this.capacity;
    if (frame.points > 0) this.isLastOpen = frame.isLastOpen;
    this.version++;
  }

  /* Index of the last point at or before `time`, -1 if all are later. */
  indexAt(time: number): number {
    let low = this.start;
    let high = this.end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.times[middle]! <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1 - this.start;
  }

  private write(at: number, frame: SeriesFrame, point: number): void {
    this.times[at] = frame.times[point]!;
    for (let c = 0; c < this.values.length; c++) this.values[c]![at] = frame.values[c * frame.points + point]!;
    for (let s = 0; s < this.scores.length; s++) this.scores[s]![at] = frame.scores[s * frame.points + point]!;
  }

  /* Where the point of that time belongs: its own place if it is held, else a new one. */
  private place(time: number): number {
    if (this.length === 0 || time > this.times[this.end - 1]!) {
      this.makeRoom();
      return this.end++;
    }
    const held = this.start + this.indexAt(time);
    if (held >= this.start && this.times[held] === time) return held;
    this.makeRoom();
    const at = this.start + this.indexAt(time) + 1;
    for (const column of [this.times, ...this.values, ...this.scores]) column.copyWithin(at + 1, at, this.end);
    this.end++;
    return at;
  }

  private makeRoom(): void {
    if (this.end < this.size) return;
    const limit = this.capacity + Math.max(16, this.capacity >> 2);
    if (this.length > this.capacity) this.start = this.end - this.capacity;
    if (this.start > 0) {
      for (const column of [this.times, ...this.values, ...this.scores]) column.copyWithin(0, this.start, this.end);
      this.end -= this.start;
      this.start = 0;
      if (this.end < this.size) return;
    }
    this.grow(Math.min(limit, Math.max(FIRST_SIZE, this.size * 2)));
  }

  private grow(size: number): void {
    const wider = Math.max(size, this.end + 1);
    const widen = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const column = new Float64Array(wider);
      column.set(old);
      return column;
    };
    this.times = widen(this.times);
    this.values = this.values.map(widen);
    this.scores = this.scores.map((old) => {
      const column = new Float32Array(wider);
      column.set(old);
      return column;
    });
    this.size = wider;
  }
}
