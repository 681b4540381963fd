/* urlstate.ts - What the page shows, as the part of the address behind #, so that a view can be shared and reloaded. */
import type { Key, Level } from "./protocol";

export type Tab = "streams" | "python" | "engine";
export type Theme = "dark" | "light" | "auto";
export type RangeName = "1m" | "5m" | "15m" | "all";

export const RANGES: readonly RangeName[] = ["1m", "5m", "15m", "all"];
export const TABS: readonly Tab[] = ["streams", "python", "engine"];
export const LEVELS: readonly Level[] = ["anomaly", "warn", "info"];

export interface Focus {
  stream: string;
  key: Key;
}

export interface Sort {
  column: string;
  descending: boolean;
}

export interface ViewState {
  tab: Tab;
  range: RangeName | null; /* null: what suits the job */
  theme: Theme | null; /* null: not chosen here */
  filter: string;
  focus: Focus | null;
  sorts: Readonly<Record<string, Sort>>;
  isPaused: boolean;
  collapsed: readonly string[];
  zoom: { from: number; to: number } | null;
  level: Level | "all";
  process: number | null; /* the Python process whose page is open */
}

export const DEFAULT_STATE: ViewState = {
  tab: "streams",
  range: null,
  theme: null,
  filter: "",
  focus: null,
  sorts: {},
  isPaused: false,
  collapsed: [],
  zoom: null,
  level: "all",
  process: null,
};

const oneOf = <T extends string>(value: string | null, values: readonly T[]): T | null =>
  values.find((known) => known === value) ?? null;

function readZoom(text: string | null): ViewState["zoom"] {
  const match = /^(-?\d+)\.\.(-?\d+)$/.exec(text ?? "");
  if (match === null) return null;
  const from = Number(match[1]);
  const to = Number(match[2]);
  return from < to ? { from, to } : null;
}

function readPid(text: string | null): number | null {
  const pid = /^\d{1,10}$/.test(text ?? "") ? Number(text) : 0;
  return pid > 0 ? pid : null;
}

function readSorts(texts: string[]): Record<string, Sort> {
  const sorts: Record<string, Sort> = Object.create(null) as Record<string, Sort>;
  for (const text of texts) {
    const match = /^([^:]+):(-?)(.+)$/.exec(text);
    if (match !== null) sorts[match[1]!] = { column: match[3]!, descending: match[2] === "-" };
  }
  return sorts;
}

/* Whatever is missing or makes no sense is the default. */
export function parseState(hash: string): ViewState {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  const stream = params.get("stream");
  const process = readPid(params.get("process"));
  return {
    tab: oneOf(params.get("tab"), TABS) ?? (process === null ? "streams" : "python"),
    range: oneOf(params.get("range"), RANGES),
    theme: oneOf(params.get("theme"), ["dark", "light", "auto"] as const),
    filter: params.get("filter") ?? "",
    focus: stream !== null && params.has("key") ? { stream, key: params.getAll("key") } : null,
    sorts: readSorts(params.getAll("sort")),
    isPaused: params.get("paused") === "1",
    collapsed: params.getAll("collapsed"),
    zoom: readZoom(params.get("zoom")),
    level: oneOf(params.get("level"), LEVELS) ?? "all",
    process,
  };
}

/* Defaults are left out: the address of the plain page is plain. */
export function formatState(state: ViewState): string {
  const params = new URLSearchParams();
  if (state.tab !== (state.process === null ? "streams" : "python")) params.set("tab", state.tab);
  if (state.process !== null) params.set("process", String(state.process));
  if (state.range !== null) params.set("range", state.range);
  if (state.theme !== null) params.set("theme", state.theme);
  if (state.filter !== "") params.set("filter", state.filter);
  if (state.focus !== null) {
    params.set("stream", state.focus.stream);
    for (const part of state.focus.key) params.append("key", part);
  }
  for (const [stream, sort] of Object.entries(state.sorts)) {
    params.append("sort", `${stream}:${sort.descending ? "-" : ""}${sort.column}`);
  }
  if (state.isPaused) params.set("paused", "1");
  for (const name of state.collapsed) params.append("collapsed", name);
  if (state.zoom !== null) params.set("zoom", `${Math.round(state.zoom.from)}..${Math.round(state.zoom.to)}`);
  if (state.level !== "all") params.set("level", state.level);
  const text = params.toString();
  return text === "" ? "" : `#${text}`;
}
