/* protocol.ts - What travels between server and dashboard; docs/live-protocol.md says what it means. */

export type Key = readonly string[];

export interface AggregateSpec {
  name: string;
  function: string;
  columns: string[];
  unit: string;
  is_scored: boolean;
}

export interface ChartSpec {
  title: string;
  unit: string;
  line: string;
  low?: string | null;
  high?: string | null;
  key?: Key | null;
  top?: number;
}

export interface TileSpec {
  title: string;
  aggregate: string;
  key?: Key | null;
  unit: string;
}

export interface TableSpec {
  sort: string;
  columns: string[];
}

export interface StreamSpec {
  name: string;
  title: string;
  window_ns: number;
  keys: string[];
  aggregates: AggregateSpec[];
  charts: ChartSpec[];
  tiles: TileSpec[];
  table: TableSpec | null;
}

export interface JobSpec {
  name: string;
  version: string;
  started_ns: number;
  workers: number;
  sources: string[];
  keep_windows: number;
}

export interface Layout {
  job: JobSpec;
  streams: StreamSpec[];
}

export interface HelloMessage {
  type: "hello";
  version: string;
  started_ns: number;
  now_ms: number;
}

export interface SeriesMessage {
  type: "series";
  chart: number;
  keys: Key[];
}

export type CellValue = number | string | null | unknown[];

export interface TableRow {
  key: Key;
  values: CellValue[];
  scores: (number | null)[];
}

export interface TableMessage {
  type: "table";
  table: number;
  stream: string;
  window_start_ms: number;
  is_open: boolean;
  total: number;
  rows: TableRow[];
}

export interface ThreadStats {
  name: string;
  role: string;
  cpu_percent: number | null;
}

export interface RingStats {
  name: string;
  depth: number;
  capacity: number;
}

export interface StageStats {
  name: string;
  p50_us: number | null;
  p99_us: number | null;
  share_percent: number | null;
}

export interface StatsMessage {
  type: "stats";
  now_ms: number;
  events_total: number;
  events_per_s: number;
  bytes_per_s: number;
  watermark_ms: number | null;
  watermark_lag_ms: number | null;
  late: number;
  malformed: number;
  rejected: number;
  latency_p50_ms: number | null;
  latency_p99_ms: number | null;
  batches_per_s: number;
  windows_closed: number;
  keys: number;
  clients: number;
  views_dropped: number;
  rss_bytes: number;
  anomalies: number;
  threads?: ThreadStats[];
  rings?: RingStats[];
  stages?: StageStats[];
}

export type Level = "anomaly" | "warn" | "info";

export interface EventMessage {
  type: "event";
  id: number;
  time_ms: number;
  level: Level;
  text: string;
  stream?: string;
  key?: Key;
  aggregate?: string;
  value?: number | null;
  score?: number | null;
}

export type ServerMessage = HelloMessage | SeriesMessage | TableMessage | StatsMessage | EventMessage;

export interface ChartRequest {
  id: number;
  stream: string;
  aggregates: string[];
  key?: Key;
  top?: number;
  sort?: string;
  range_s: number;
}

export interface TableRequest {
  id: number;
  stream: string;
  sort: string;
  descending: boolean;
  limit: number;
  filter?: string;
}

/* A point with this score or more is an anomaly; the engine's events begin at the same one. */
export const ANOMALY_SCORE = 0.5;

/* One binary message. Columns are views into the message where its alignment allows, else copies. */
export interface SeriesFrame {
  chart: number;
  isReset: boolean;
  isLastOpen: boolean;
  series: number;
  aggregates: number;
  points: number;
  times: Float64Array;
  values: Float64Array; /* [series][aggregate][point] */
  scores: Float32Array; /* [series][point] */
}

const HEADER_BYTES = 16;
const FRAME_SERIES = 1;
const FLAG_RESET = 1;
const FLAG_LAST_OPEN = 2;

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function doubles(buffer: ArrayBuffer, offset: number, count: number): Float64Array {
  if (isLittleEndian && offset % 8 === 0) return new Float64Array(buffer, offset, count);
  const view = new DataView(buffer);
  return Float64Array.from({ length: count }, (_, i) => view.getFloat64(offset + 8 * i, true));
}

function floats(buffer: ArrayBuffer, offset: number, count: number): Float32Array {
  if (isLittleEndian && offset % 4 === 0) return new Float32Array(buffer, offset, count);
  const view = new DataView(buffer);
  return Float32Array.from({ length: count }, (_, i) => view.getFloat32(offset + 4 * i, true));
}

/* Null for a message of another kind, which later servers may send. Throws where lengths do not agree. */
export function decodeFrame(buffer: ArrayBuffer): SeriesFrame | null {
  if (buffer.byteLength < HEADER_BYTES) throw new RangeError(`a frame of ${buffer.byteLength} bytes has no header`);
  const view = new DataView(buffer);
  if (view.getUint8(0) !== FRAME_SERIES) return null;
  const flags = view.getUint8(1);
  const series = view.getUint32(4, true);
  const aggregates = view.getUint32(8, true);
  const points = view.getUint32(12, true);
  const valueCount = points * series * aggregates;
  const want = HEADER_BYTES + 8 * points + 8 * valueCount + 4 * points * series;
  if (want !== buffer.byteLength) {
    throw new RangeError(
      `a frame of ${series} x ${aggregates} x ${points} has ${buffer.byteLength} bytes, not ${want}`,
    );
  }
  const valuesAt = HEADER_BYTES + 8 * points;
  return {
    chart: view.getUint16(2, true),
    isReset: (flags & FLAG_RESET) !== 0,
    isLastOpen: (flags & FLAG_LAST_OPEN) !== 0,
    series,
    aggregates,
    points,
    times: doubles(buffer, HEADER_BYTES, points),
    values: doubles(buffer, valuesAt, valueCount),
    scores: floats(buffer, valuesAt + 8 * valueCount, points * series),
  };
}

/* Null for text that is no message of ours: a newer server may say more than we know. */
export function decodeText(text: string): ServerMessage | null {
  const message: unknown = JSON.parse(text);
  if (typeof message !== "object" || message === null) return null;
  const type = (message as { type?: unknown }).type;
  return type === "hello" || type === "series" || type === "table" || type === "stats" || type === "event"
    ? (message as ServerMessage)
    : null;
}

export const keyText = (key: Key): string => key.join(" · ");
export const isSameKey = (a: Key, b: Key): boolean => a.length === b.length && a.every((part, i) => part === b[i]);
