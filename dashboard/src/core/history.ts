/* history.ts - The engine's own figures over time, from the `stats` messages: a fixed number of samples. */

export class History<Name extends string> {
  private readonly columns: Record<Name, Float64Array>;
  private readonly times: Float64Array;
  private end = 0;
  private readonly room: number;

  constructor(
    readonly names: readonly Name[],
    private readonly capacity: number,
  ) {
    this.room = capacity + (capacity >> 1);
    this.times = new Float64Array(this.room);
    this.columns = Object.fromEntries(names.map((name) => [name, new Float64Array(this.room)])) as Record<
      Name,
      Float64Array
    >;
  }

  get length(): number {
    return Math.min(this.end, this.capacity);
  }

  /* Times must ascend; a sample from the past (a clock set back) starts anew. */
  add(timeMs: number, values: Record<Name, number>): void {
    if (this.end > 0 && timeMs <= this.times[this.end - 1]!) this.end = 0;
    if (this.end === this.room) {
      const from = this.end - this.capacity;
      this.times.copyWithin(0, from, this.end);
      for (const name of this.names) this.columns[name].copyWithin(0, from, this.end);
      this.end = this.capacity;
    }
    this.times[this.end] = timeMs;
    for (const name of this.names) this.columns[name][this.end] = values[name];
    this.end++;
  }

  clear(): void {
    this.end = 0;
  }

  timeView(): Float64Array {
    return this.times.subarray(this.end - this.length, this.end);
  }

  view(name: Name): Float64Array {
    return this.columns[name].subarray(this.end - this.length, this.end);
  }
}
