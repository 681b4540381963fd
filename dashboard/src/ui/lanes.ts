/* lanes.ts - The threads of a process: what each does, and when it held or awaited the GIL in the last seconds. */
import { formatted } from "../core/format";
import type { GilAnswer, Lane, ThreadInfo, ThreadsAnswer } from "../core/processes";
import { baseName, meanOf } from "../core/processes";
import type { Size } from "./dom";
import { arrange, fitCanvas, h, setAttribute, setClass, setText } from "./dom";
import { paintSoon } from "./frames";
import { palette } from "./theme";

const SHOWN = 24;
const LANE_PX = 22;

interface Row {
  root: HTMLElement;
  name: HTMLButtonElement;
  tid: HTMLElement;
  canvas: HTMLCanvasElement;
  held: HTMLElement;
  waited: HTMLElement;
  cpu: HTMLElement;
  words: HTMLElement;
  place: HTMLElement;
  size: Size;
  lane: Lane | null;
}

export interface ThreadRow {
  tid: number;
  name: string;
  isMain: boolean;
  info: ThreadInfo | null;
  lane: Lane | null;
  cpu: number | null; /* % of a core */
}

/* Threads that live now, the main one first, then those that held the GIL most; the GIL of ended ones comes last. */
export function threadRows(
  threads: ThreadsAnswer | null,
  before: ThreadsAnswer | null,
  gil: GilAnswer | null,
): ThreadRow[] {
  const lanes = new Map((gil?.lanes ?? []).map((lane) => [lane.tid, lane]));
  const rows = (threads?.threads ?? []).map((info): ThreadRow => {
    const last = before?.threads.find((one) => one.tid === info.tid);
    const spanNs = threads!.now_ns - (before?.now_ns ?? threads!.now_ns);
    const usedNs = last?.cpu_ns == null || info.cpu_ns === null ? null : info.cpu_ns - last.cpu_ns;
    const lane = lanes.get(info.tid) ?? null;
    lanes.delete(info.tid);
    return {
      tid: info.tid,
      name: info.name,
      isMain: info.is_main,
      info,
      lane,
      cpu: usedNs === null || spanNs <= 0 ? null : (100 * usedNs) / spanNs,
    };
  });
  for (const lane of lanes.values()) {
    rows.push({ tid: lane.tid, name: lane.name, isMain: lane.is_main, info: null, lane, cpu: null });
  }
  const weight = (row: ThreadRow): number => (meanOf(row.lane?.held ?? []) ?? 0) + (meanOf(row.lane?.waited ?? []) ?? 0);
  return rows.sort(
    (a, b) =>
      Number(b.isMain) - Number(a.isMain) ||
      Number(b.info !== null) - Number(a.info !== null) ||
      weight(b) - weight(a) ||
      a.tid - b.tid,
  );
}

export class Lanes {
  readonly element: HTMLElement;
  private readonly list = h("div", { class: "lanes", role: "table", "aria-label": "Threads" });
  private readonly more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.toggle() });
  private readonly rows: Row[] = [];
  private shown: ThreadRow[] = [];
  private isAll = false;
  private hasGil = true;
  private picked: number | null = null;
  private readonly painter = (): void => this.paint();

  constructor(private readonly onPick: (tid: number | null) => void) {
    this.element = h("div", { class: "lanes-box" }, this.head(), this.list, this.more);
  }

  set(rows: readonly ThreadRow[], hasGil: boolean, picked: number | null): void {
    this.shown = [...rows];
    this.hasGil = hasGil;
    this.picked = picked;
    paintSoon(this.painter);
  }

  redraw(): void {
    paintSoon(this.painter);
  }

  private head(): HTMLElement {
    const key = (name: string, text: string): HTMLElement =>
      h("span", { class: "lane-key" }, h("i", { class: `lane-${name}`, "aria-hidden": "true" }), text);
    return h("p", { class: "lanes-key muted" }, key("held", "held the GIL"), key("waited", "waited for it"));
  }

  private toggle(): void {
    this.isAll = !this.isAll;
    paintSoon(this.painter);
  }

  private paint(): void {
    const rows = this.isAll ? this.shown : this.shown.slice(0, SHOWN);
    while (this.rows.length < rows.length) this.rows.push(this.make());
    rows.forEach((row, i) => this.paintRow(this.rows[i]!, row));
    arrange(
      this.list,
      this.rows.slice(0, rows.length).map((row) => row.root),
    );
    this.more.hidden = this.shown.length <= SHOWN;
    setText(this.more, this.isAll ? "Show fewer" : `Show all ${this.shown.length} threads`);
  }

  private make(): Row {
    const canvas = h("canvas", { class: "lane", role: "img" });
    const [tid, words, place] = [h("span", { class: "lane-tid" }), h("span"), h("span", { class: "lane-place" })];
    const [held, waited, cpu] = [h("b"), h("b"), h("b")];
    const name = h("button", { type: "button", class: "lane-name" });
    const figure = (label: string, value: HTMLElement): HTMLElement =>
      h("span", { class: "lane-figure", role: "cell" }, h("span", {}, label), value);
    const root = h(
      "div",
      { class: "lane-row", role: "row" },
      h("div", { class: "lane-who", role: "rowheader" }, name, tid),
      h("div", { class: "lane-line", role: "cell" }, canvas),
      h("div", { class: "lane-figures" }, figure("held", held), figure("waited", waited), figure("CPU", cpu)),
      h("div", { class: "lane-words", role: "cell" }, words, place),
    );
    const row: Row = { root, name, tid, canvas, held, waited, cpu, words, place, size: { width: 0, height: 0 }, lane: null };
    name.addEventListener("click", () => {
      const picked = Number(name.dataset["tid"]);
      this.onPick(picked === this.picked ? null : picked);
    });
    new ResizeObserver((entries) => {
      for (const { contentRect } of entries) row.size = { width: contentRect.width, height: LANE_PX };
      this.paintLane(row);
    }).observe(canvas);
    return row;
  }

  private paintRow(row: Row, thread: ThreadRow): void {
    const held = meanOf(thread.lane?.held ?? []);
    const waited = meanOf(thread.lane?.waited ?? []);
    const top = thread.info?.stack[0];
    row.lane = thread.lane;
    row.name.dataset["tid"] = String(thread.tid);
    setText(row.name, thread.name === "" ? `thread ${thread.tid}` : thread.name);
    setAttribute(row.name, "aria-pressed", String(thread.tid === this.picked));
    setAttribute(row.name, "title", "Show only this thread in the flame graph");
    setText(row.tid, String(thread.tid));
    setText(row.held, formatted(held, "%"));
    setText(row.waited, formatted(waited, "%"));
    setText(row.cpu, formatted(thread.cpu, "%"));
    setText(row.words, thread.info?.words ?? "ended");
    setText(row.place, top === undefined ? "" : `${top.name} (${baseName(top.file)}:${top.line})`);
    setAttribute(
      row.canvas,
      "aria-label",
      `GIL of ${thread.name}: held ${formatted(held, "%")}, waited ${formatted(waited, "%")} of the time`,
    );
    setClass(row.root, "is-picked", thread.tid === this.picked);
    setClass(row.root, "is-waiting", thread.info?.state === "gil" || thread.info?.state === "lock");
    setClass(this.element, "has-no-gil", !this.hasGil);
    this.paintLane(row);
  }

  /* Held grows from below, waited hangs from above; what was not measured stays empty. */
  private paintLane(row: Row): void {
    const context = fitCanvas(row.canvas, row.size);
    if (context === null || row.lane === null) return;
    const { width, height } = row.canvas;
    const cells = row.lane.held.length;
    for (let i = 0; i < cells; i++) {
      const x = Math.round((i / cells) * width);
      const w = Math.round(((i + 1) / cells) * width) - x;
      const held = row.lane.held[i];
      const waited = row.lane.waited[i];
      if (held == null) continue;
      context.fillStyle = palette.grid;
      context.fillRect(x, 0, w, height);
      context.fillStyle = palette.accent;
      context.fillRect(x, height - (held / 100) * height, w, (held / 100) * height);
      context.fillStyle = palette.warn;
      context.fillRect(x, 0, w, ((waited ?? 0) / 100) * height);
    }
  }
}
