/* python.ts - The tab with the Python processes of this machine: a table of all, and a page for each. */
import { History } from "../core/history";
import { formatted } from "../core/format";
import type { ProcessInfo, ProcessList } from "../core/processes";
import type { ViewState } from "../core/urlstate";
import type { Context } from "./context";
import { arrange, h, setAttribute, setClass, setText } from "./dom";
import { ProcessPage } from "./process";
import { drawSpark } from "./spark";

const EACH_MS = 1000;
const KEPT = 60; /* points of a sparkline: the last minute */

export type Get = <Answer>(path: string, parameters?: Readonly<Record<string, string>>) => Promise<Answer>;

type Trend = "cpu" | "gil";

interface Column {
  name: string;
  title: string;
  unit: string;
  of: (process: ProcessInfo) => number | string | null;
  trend?: Trend;
}

const COLUMNS: readonly Column[] = [
  { name: "pid", title: "PID", unit: "id", of: (p) => p.pid },
  { name: "version", title: "Python", unit: "text", of: (p) => p.version },
  { name: "cpu", title: "CPU", unit: "%", of: (p) => p.cpu, trend: "cpu" },
  { name: "gil", title: "GIL held", unit: "%", of: (p) => p.gil, trend: "gil" },
  { name: "waiters", title: "Waiters", unit: "", of: (p) => p.waiters },
  { name: "threads", title: "Threads", unit: "", of: (p) => p.threads },
  { name: "rss", title: "RSS", unit: "bytes", of: (p) => p.rss },
  { name: "function", title: "Top function", unit: "text", of: (p) => p.refusal || p.function },
];

interface Row {
  root: HTMLTableRowElement;
  link: HTMLAnchorElement;
  cells: { root: HTMLTableCellElement; text: HTMLElement; canvas: HTMLCanvasElement | null }[];
}

/* Descending numbers first, absent ones last; text ascending. Equal ones by pid, so that rows do not jump. */
export function sortProcesses(list: readonly ProcessInfo[], column: string, descending: boolean): ProcessInfo[] {
  const of = column === "process" ? (p: ProcessInfo): string => p.process : COLUMNS.find((c) => c.name === column)?.of;
  const sign = descending ? -1 : 1;
  return [...list].sort((a, b) => {
    const [left, right] = [of?.(a) ?? null, of?.(b) ?? null];
    if (left === null || right === null) return Number(left === null) - Number(right === null) || a.pid - b.pid;
    return sign * (left < right ? -1 : left > right ? 1 : 0) || a.pid - b.pid;
  });
}

export const isShown = (process: ProcessInfo, filter: string): boolean =>
  `${process.process} ${process.command} ${process.version} ${process.function}`.toLowerCase().includes(filter);

const cellText = (value: number | string | null, unit: string): string =>
  typeof value === "string" ? value : unit === "id" ? String(value) : formatted(value, unit);

export class PythonView {
  readonly element: HTMLElement;
  private readonly note = h("p", { class: "python-note muted", "data-testid": "python-note" });
  private readonly body = h("tbody");
  private readonly heads = new Map<string, HTMLTableCellElement>();
  private readonly empty = h("p", { class: "table-empty" }, "Looking for Python processes …");
  private readonly listView: HTMLElement;
  private readonly page: ProcessPage;
  private readonly rows = new Map<number, Row>();
  private readonly trends = new Map<number, History<Trend>>();
  private list: ProcessList | null = null;
  private timer = 0;
  private isAsking = false;
  private state: ViewState;

  constructor(
    private readonly context: Context,
    private readonly get: Get,
  ) {
    this.state = context.store.state;
    this.page = new ProcessPage(context, get);
    this.listView = h(
      "section",
      { class: "panel table-panel wide python-list", "aria-label": "Python processes", "data-testid": "python-list" },
      this.note,
      h("div", { class: "table-scroll" }, this.makeTable()),
      this.empty,
    );
    this.element = h(
      "div",
      { class: "python", id: "view-python", role: "tabpanel", "aria-labelledby": "tab-python", hidden: true },
      this.listView,
      this.page.element,
    );
    this.paintHeads();
  }

  applyState(state: ViewState): void {
    const before = this.state;
    this.state = state;
    const isOpen = state.tab === "python";
    this.element.hidden = !isOpen;
    this.listView.hidden = state.process !== null;
    this.page.applyState(isOpen ? state.process : null, state.filter);
    this.paint();
    const isActive = isOpen && !state.isPaused;
    const isOther = state.process !== before.process || this.list === null;
    if (isOpen && isOther) void this.ask(); /* once, even while paused */
    if (isActive && this.timer === 0) {
      this.timer = window.setInterval(() => void this.ask(), EACH_MS);
      void this.ask();
    } else if (!isActive && this.timer !== 0) {
      window.clearInterval(this.timer);
      this.timer = 0;
    }
  }

  redraw(): void {
    this.paint();
    this.page.redraw();
  }

  unzoom(): boolean {
    return this.page.unzoom();
  }

  /* For tests. */
  shown(): { pids: number[]; page: ReturnType<ProcessPage["shown"]> } {
    return { pids: (this.list?.processes ?? []).map((process) => process.pid), page: this.page.shown() };
  }

  private async ask(): Promise<void> {
    if (this.isAsking || document.hidden) return;
    this.isAsking = true;
    try {
      const list = await this.get<ProcessList>("api/processes");
      this.list = list;
      this.remember(list);
      this.paint();
      if (this.state.process !== null) await this.page.ask(list);
    } catch (error) {
      setText(this.empty, error instanceof Error ? error.message : "no answer");
    } finally {
      this.isAsking = false;
    }
  }

  private remember(list: ProcessList): void {
    const pids = new Set(list.processes.map((process) => process.pid));
    for (const pid of [...this.trends.keys()]) if (!pids.has(pid)) this.trends.delete(pid);
    for (const process of list.processes) {
      let trend = this.trends.get(process.pid);
      if (trend === undefined) this.trends.set(process.pid, (trend = new History<Trend>(["cpu", "gil"], KEPT)));
      trend.add(list.now_ns / 1e6, { cpu: process.cpu ?? NaN, gil: process.gil ?? NaN });
    }
  }

  private makeTable(): HTMLTableElement {
    const head = h("tr", {}, this.makeHead("process", "Process", "key"));
    for (const column of COLUMNS) {
      head.append(this.makeHead(column.name, column.title, column.unit === "text" ? "text" : "number"));
    }
    return h("table", {}, h("caption", { class: "sr-only" }, "Python processes"), h("thead", {}, head), this.body);
  }

  private makeHead(name: string, title: string, kind: string): HTMLTableCellElement {
    const arrow = h("i", { class: "arrow", "aria-hidden": "true" });
    const button = h("button", { type: "button", onclick: () => this.sortBy(name) }, h("span", {}, title), arrow);
    const root = h("th", { scope: "col", class: kind }, button);
    this.heads.set(name, root);
    return root;
  }

  private sort(): { column: string; descending: boolean } {
    return this.state.sorts["processes"] ?? { column: "cpu", descending: true };
  }

  private sortBy(column: string): void {
    const now = this.sort();
    const isText = column === "process" || column === "version" || column === "function";
    const descending = now.column === column ? !now.descending : !isText;
    this.context.store.update({ sorts: { ...this.state.sorts, processes: { column, descending } } });
  }

  private paintHeads(): void {
    const { column, descending } = this.sort();
    for (const [name, root] of this.heads) {
      setAttribute(root, "aria-sort", name === column ? (descending ? "descending" : "ascending") : "none");
    }
  }

  private paint(): void {
    const { list } = this;
    if (list === null || this.element.hidden || this.listView.hidden) return;
    const sort = this.sort();
    this.paintHeads();
    const filter = this.state.filter.trim().toLowerCase();
    const shown = sortProcesses(list.processes, sort.column, sort.descending).filter((p) => isShown(p, filter));
    for (const pid of [...this.rows.keys()]) if (!list.processes.some((p) => p.pid === pid)) this.rows.delete(pid);
    arrange(
      this.body,
      shown.map((process) => this.paintRow(process)),
    );
    for (const process of shown) this.paintTrends(process.pid);
    setText(this.note, this.words(list));
    this.empty.hidden = shown.length > 0;
    setText(
      this.empty,
      list.processes.length > 0 ? `No process contains “${this.state.filter}”` : "No Python process is running",
    );
  }

  private words(list: ProcessList): string {
    const parts = [
      list.processes.length === 1 ? "1 process" : `${list.processes.length} processes`,
      `${Math.round(list.gil_looks_per_s)} looks a second at each GIL, ${Math.round(list.stack_looks_per_s)} at stacks`,
    ];
    if (list.own_cpu_percent !== null) parts.push(`watching takes ${formatted(list.own_cpu_percent, "%")} of a core`);
    if (list.unreadable > 0) parts.push(`${list.unreadable} may not be read: open one for what to do`);
    if (list.unfit > 0) parts.push(`${list.unfit} of a release that is not known`);
    if (list.omitted > 0) parts.push(`${list.omitted} more are not watched`);
    return parts.join(" · ");
  }

  private makeRow(pid: number): Row {
    const link = h("a", { class: "key", "data-pid": String(pid) });
    const open = (event: Event): void => {
      const mouse = event as MouseEvent;
      if (mouse.ctrlKey || mouse.metaKey || window.getSelection()?.isCollapsed === false) return;
      event.preventDefault();
      this.context.store.update({ tab: "python", process: pid, filter: "" });
    };
    const cells = COLUMNS.map((column) => {
      const text = h("span");
      const canvas = column.trend === undefined ? null : h("canvas", { class: "python-trend", "aria-hidden": "true" });
      const root = h("td", { class: column.unit === "text" ? "text" : "number" }, canvas, text);
      return { root, text, canvas };
    });
    const root = h("tr", { onclick: open }, h("th", { scope: "row", class: "key" }, link), ...cells.map((c) => c.root));
    return { root, link, cells };
  }

  private paintRow(process: ProcessInfo): HTMLTableRowElement {
    let row = this.rows.get(process.pid);
    if (row === undefined) this.rows.set(process.pid, (row = this.makeRow(process.pid)));
    setText(row.link, process.process.replace(/ \[\d+\]$/, ""));
    setAttribute(row.link, "href", `#process=${process.pid}`);
    setAttribute(row.link, "title", process.command);
    setClass(row.root, "is-refused", process.refusal !== "");
    const sorted = this.sort().column;
    row.cells.forEach((cell, i) => {
      const column = COLUMNS[i]!;
      const text = cellText(column.of(process), column.unit);
      setText(cell.text, text);
      if (column.unit === "text") setAttribute(cell.root, "title", text);
      setClass(cell.root, "is-sorted", column.name === sorted);
    });
    return row.root;
  }

  private paintTrends(pid: number): void {
    const trend = this.trends.get(pid);
    const row = this.rows.get(pid);
    if (trend === undefined || row === undefined) return;
    row.cells.forEach((cell, i) => {
      const name = COLUMNS[i]!.trend;
      if (name === undefined || cell.canvas === null) return;
      const times = trend.timeView();
      const newest = times[times.length - 1] ?? 0;
      const data = { times, values: trend.view(name), scores: null, drawn: times.length };
      const size = { width: cell.canvas.clientWidth, height: cell.canvas.clientHeight };
      drawSpark(cell.canvas, size, data, { min: newest - KEPT * EACH_MS, max: newest }, true);
    });
  }
}
