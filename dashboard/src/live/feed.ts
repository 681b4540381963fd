/* feed.ts - Who wants which series: turns charts on screen into one subscription, and routes what comes back.
 *
 * A chart whose request changes gets a new id, so that a frame that was already on its way cannot end up in the wrong
 * chart. A pause first fetches every chart once, including those out of sight, so that one can look around in the frozen
 * moment.
 */
import type { ChartRequest, Key, SeriesFrame, SeriesMessage, TableMessage, TableRequest } from "../core/protocol";
import { SeriesRing } from "../core/ring";

export type ChartWish = Omit<ChartRequest, "id">;
export type TableWish = Omit<TableRequest, "id">;

const FLUSH_DELAY_MS = 40;
const SNAPSHOT_MS = 1000;
const RATE_HZ = 10;
const MAX_ID = 0xffff;
const MIN_POINTS = 64;
const MAX_POINTS = 12000; /* about 100 kB a column */
const MAX_CHARTS = 64; /* the server refuses more in one subscription */
const MAX_TABLES = 16;

abstract class Entry<Wish extends object> {
  id = 0;
  isVisible = false;
  isFrozen = false;
  hasAnswer = false; /* since the last request */
  private sent = "";

  constructor(protected wish_: Wish) {}

  get wish(): Wish {
    return this.wish_;
  }

  /* Whether the request differs from the one that was sent under this id. */
  takeChange(): boolean {
    const now = JSON.stringify(this.wish_);
    const isChanged = now !== this.sent;
    this.sent = now;
    return isChanged;
  }

  forget(): void {
    this.sent = "";
    this.hasAnswer = false;
  }

  abstract readonly isEmpty: boolean;
}

export class ChartEntry extends Entry<ChartWish> {
  readonly ring: SeriesRing;
  private isStale = true; /* the next frame replaces what is held */

  constructor(
    wish: ChartWish,
    private readonly windowMs: number,
    readonly onChange: () => void,
  ) {
    super(wish);
    this.ring = new SeriesRing(wish.aggregates.length, this.capacity());
  }

  get isEmpty(): boolean {
    return this.ring.length === 0;
  }

  /* False where it is the wish already. */
  setWish(wish: ChartWish): boolean {
    if (JSON.stringify(wish) === JSON.stringify(this.wish_)) return false;
    this.isFrozen = false;
    this.hasAnswer = false;
    const isOther = wish.stream !== this.wish_.stream || JSON.stringify(wish.key) !== JSON.stringify(this.wish_.key);
    this.wish_ = wish;
    this.ring.setCapacity(this.capacity());
    if (!isOther) return true;
    this.ring.clear();
    this.ring.setKeys([]);
    this.onChange();
    return true;
  }

  override forget(): void {
    super.forget();
    this.isStale = true;
  }

  clear(): void {
    this.forget();
    this.ring.clear();
    this.isFrozen = false;
    this.onChange();
  }

  takeKeys(keys: Key[]): void {
    if (this.isFrozen) return;
    if (this.isStale) this.ring.clear();
    this.ring.setKeys(keys);
    this.onChange();
  }

  takeFrame(frame: SeriesFrame): void {
    if (frame.series !== this.ring.keys.length || frame.aggregates !== this.ring.aggregates) return;
    this.hasAnswer = true;
    if (this.isFrozen) return;
    this.ring.apply(this.isStale ? { ...frame, isReset: true } : frame);
    this.isStale = false;
    this.onChange();
  }

  /* Half as much again as asked for, so that a zoom does not lose its data at once. */
  private capacity(): number {
    const points = (this.wish_.range_s * 1000) / Math.max(this.windowMs, 0.001);
    return Math.round(Math.min(MAX_POINTS, Math.max(MIN_POINTS, points * 1.5 + 8)));
  }
}

export class TableEntry extends Entry<TableWish> {
  latest: TableMessage | null = null;

  constructor(
    wish: TableWish,
    readonly onChange: () => void,
  ) {
    super(wish);
  }

  get isEmpty(): boolean {
    return this.latest === null;
  }

  setWish(wish: TableWish): boolean {
    if (JSON.stringify(wish) === JSON.stringify(this.wish_)) return false;
    this.wish_ = wish;
    this.isFrozen = false;
    this.hasAnswer = false;
    return true;
  }

  clear(): void {
    this.forget();
    this.latest = null;
    this.isFrozen = false;
    this.onChange();
  }

  take(message: TableMessage): void {
    this.hasAnswer = true;
    if (this.isFrozen) return;
    this.latest = message;
    this.onChange();
  }
}

export class Feed {
  private charts = new Set<ChartEntry>();
  private tables = new Set<TableEntry>();
  private chartOf = new Map<number, ChartEntry>();
  private tableOf = new Map<number, TableEntry>();
  private nextId = 1;
  private lastSent = "";
  private timer = 0;
  private snapshotTimer = 0;
  private isPaused = false;
  private isServerPaused = false;
  private isHidden = false;

  constructor(private readonly send: (message: object) => boolean) {}

  addChart(wish: ChartWish, windowNs: number, onChange: () => void): ChartEntry {
    const entry = new ChartEntry(wish, windowNs / 1e6, onChange);
    this.charts.add(entry);
    return entry;
  }

  addTable(wish: TableWish, onChange: () => void): TableEntry {
    const entry = new TableEntry(wish, onChange);
    this.tables.add(entry);
    return entry;
  }

  removeAll(): void {
    this.charts.clear();
    this.tables.clear();
    this.chartOf.clear();
    this.tableOf.clear();
    this.changed();
  }

  show(entry: ChartEntry | TableEntry, isVisible: boolean): void {
    if (entry.isVisible === isVisible) return;
    entry.isVisible = isVisible;
    if (!isVisible && !this.isPaused) this.forget(entry);
    this.changed();
  }

  wishChart(entry: ChartEntry, wish: ChartWish): void {
    if (entry.setWish(wish)) this.renew(entry);
  }

  wishTable(entry: TableEntry, wish: TableWish): void {
    if (entry.setWish(wish)) this.renew(entry);
  }

  /* Something changed. Several changes in a row become one message. */
  changed(): void {
    if (this.timer === 0) this.timer = window.setTimeout(() => this.flush(), FLUSH_DELAY_MS);
  }

  /* Another engine: what is held is of no use. */
  reset(): void {
    for (const entry of this.all()) entry.clear();
  }

  /* After hello. The new connection knows nothing of the one before. */
  reconnected(): void {
    this.isServerPaused = false;
    this.lastSent = "";
    for (const entry of this.all()) this.forget(entry);
    this.flush();
  }

  pause(): void {
    this.isPaused = true;
    for (const entry of this.all()) entry.isFrozen = entry.isVisible && !entry.isEmpty;
    this.changed();
  }

  resume(): void {
    this.isPaused = false;
    window.clearTimeout(this.snapshotTimer);
    for (const entry of this.all()) {
      entry.isFrozen = false;
      this.forget(entry);
    }
    this.changed();
  }

  setHidden(isHidden: boolean): void {
    this.isHidden = isHidden;
    if (isHidden && !this.isPaused) for (const entry of this.all()) this.forget(entry);
    this.changed();
  }

  takeSeries(message: SeriesMessage): void {
    this.chartOf.get(message.chart)?.takeKeys(message.keys);
  }

  takeFrame(frame: SeriesFrame): void {
    const entry = this.chartOf.get(frame.chart);
    if (entry === undefined) return;
    entry.takeFrame(frame);
    this.endSnapshot(false);
  }

  takeTable(message: TableMessage): void {
    this.tableOf.get(message.table)?.take(message);
    this.endSnapshot(false);
  }

  private renew(entry: ChartEntry | TableEntry): void {
    this.forget(entry);
    this.changed();
  }

  /* What is still on its way for it is dropped; when it is wanted again it starts anew. */
  private forget(entry: ChartEntry | TableEntry): void {
    this.chartOf.delete(entry.id);
    this.tableOf.delete(entry.id);
    entry.forget();
  }

  private all(): (ChartEntry | TableEntry)[] {
    return [...this.charts, ...this.tables];
  }

  /* Those on screen first. */
  private wanted<Kind extends ChartEntry | TableEntry>(entries: Set<Kind>, most: number): Kind[] {
    const wanted = [...entries].filter((entry) => this.isWanted(entry));
    return wanted.length <= most
      ? wanted
      : wanted.sort((a, b) => Number(b.isVisible) - Number(a.isVisible)).slice(0, most);
  }

  private isWanted(entry: ChartEntry | TableEntry): boolean {
    return !this.isHidden && (this.isPaused ? !entry.isFrozen : entry.isVisible);
  }

  private flush(): void {
    window.clearTimeout(this.timer);
    this.timer = 0;
    if (this.isPaused && this.isServerPaused && !this.all().some((e) => this.isWanted(e) && !e.hasAnswer)) return;
    const request = this.request();
    const text = JSON.stringify(request);
    if (this.isServerPaused) {
      if (!this.send({ type: "resume" })) return;
      this.isServerPaused = false;
    }
    if (text !== this.lastSent && this.send(request)) this.lastSent = text;
    window.clearTimeout(this.snapshotTimer);
    if (this.isPaused) this.snapshotTimer = window.setTimeout(() => this.endSnapshot(true), SNAPSHOT_MS);
  }

  /* Gives changed entries new ids. */
  private request(): object {
    const number = (entry: ChartEntry | TableEntry): number => {
      if (!entry.takeChange() && entry.id !== 0) return entry.id;
      this.chartOf.delete(entry.id);
      this.tableOf.delete(entry.id);
      entry.id = this.nextId;
      entry.hasAnswer = false;
      this.nextId = this.nextId === MAX_ID ? 1 : this.nextId + 1;
      if (entry instanceof ChartEntry) this.chartOf.set(entry.id, entry);
      else this.tableOf.set(entry.id, entry);
      return entry.id;
    };
    const charts = this.wanted(this.charts, MAX_CHARTS).map((e) => ({ id: number(e), ...e.wish }));
    const tables = this.wanted(this.tables, MAX_TABLES).map((e) => ({ id: number(e), ...e.wish }));
    return { type: "subscribe", rate_hz: RATE_HZ, charts, tables };
  }

  /* Once everybody who waits has an answer, or after a second, the server may rest. */
  private endSnapshot(isLate: boolean): void {
    if (!this.isPaused || this.isServerPaused) return;
    if (!isLate && this.all().some((entry) => this.isWanted(entry) && !entry.hasAnswer)) return;
    window.clearTimeout(this.snapshotTimer);
    for (const entry of this.all()) {
      entry.isFrozen = !entry.isEmpty;
      entry.hasAnswer = true;
    }
    if (this.send({ type: "pause" })) this.isServerPaused = true;
  }
}
