/* table.ts - The top keys of a stream: sortable, with bars; a click on a row narrows everything to its key. */
import { formatted } from "../core/format";
import { cellText, fitBytes, ordered } from "../core/layout";
import type { AggregateSpec, Key, StreamSpec, TableRow } from "../core/protocol";
import { ANOMALY_SCORE, isSameKey, keyText } from "../core/protocol";
import type { Sort } from "../core/urlstate";
import type { TableEntry, TableWish } from "../live/feed";
import type { Context } from "./context";
import { focusOf, toggleFocus } from "./context";
import { arrange, h, setAttribute, setClass, setText } from "./dom";
import { paintNever, paintSoon } from "./frames";

const FEW = 25;
const MANY = 200;
const MAX_FILTER_BYTES = 60; /* what the server takes */
const BAR_STEPS = 200; /* a bar moves in half per cents: what cannot be seen is not written */

interface Cell {
  root: HTMLTableCellElement;
  bar: HTMLElement;
  text: HTMLElement;
  fill: number;
}

interface RowElements {
  root: HTMLTableRowElement;
  keys: HTMLElement[];
  cells: Cell[];
  key: Key;
}

export class TopTable {
  readonly element: HTMLElement;
  readonly entry: TableEntry;
  readonly columnCount: number;
  private readonly columns: { spec: AggregateSpec; at: number }[];
  private readonly heads: { root: HTMLTableCellElement; name: string }[] = [];
  private readonly body = h("tbody");
  private readonly summary = h("span", { class: "table-summary" });
  private readonly more = h(
    "button",
    { type: "button", class: "quiet", onclick: () => this.toggleMore() },
    "Show more",
  );
  private readonly empty = h("p", { class: "table-empty", hidden: true });
  private readonly stop: () => void;
  private rows: RowElements[] = [];
  private order: string[] = [];
  private limit = FEW;
  private isHeld = false; /* the pointer is over the rows: they keep their places */
  private readonly painter = (): void => this.paint();

  constructor(
    private readonly context: Context,
    private readonly stream: StreamSpec,
    private readonly onTotal: (total: number) => void,
  ) {
    const wanted = stream.table?.columns ?? [];
    const names = wanted.length > 0 ? wanted : stream.aggregates.map((a) => a.name);
    this.columns = names
      .map((name) => stream.aggregates.findIndex((a) => a.name === name))
      .filter((at) => at >= 0)
      .map((at) => ({ spec: stream.aggregates[at]!, at }));
    this.columnCount = stream.keys.length + this.columns.length;
    this.entry = context.feed.addTable(this.wish(), () => this.repaint());
    this.element = this.build();
    this.stop = context.watch(this.element, (isVisible) => {
      context.feed.show(this.entry, isVisible);
      this.repaint();
    });
    this.paintHeads();
  }

  destroy(): void {
    this.stop();
    paintNever(this.painter);
  }

  applyState(): void {
    this.context.feed.wishTable(this.entry, this.wish());
    this.order = [];
    this.paintHeads();
    this.repaint();
  }

  repaint(): void {
    if (this.entry.isVisible) paintSoon(this.painter);
  }

  private build(): HTMLElement {
    const head = h("tr");
    for (const name of this.stream.keys) head.append(this.makeHead(name, name, "key"));
    for (const { spec } of this.columns) {
      const isText = spec.function === "topk";
      head.append(
        this.makeHead(
          spec.name,
          spec.unit === "" ? spec.name : `${spec.name} (${spec.unit})`,
          isText ? "text" : "number",
        ),
      );
    }
    this.body.addEventListener("click", (event) => this.pick(event));
    this.body.addEventListener("mouseenter", () => (this.isHeld = true));
    this.body.addEventListener("mouseleave", () => (this.isHeld = false));
    const caption = h(
      "caption",
      { class: "sr-only" },
      `${this.stream.title}: top keys. Choose a row to see only its key.`,
    );
    return h(
      "div",
      { class: "panel table-panel", "data-testid": `table-${this.stream.name}` },
      h(
        "div",
        { class: "table-scroll", role: "region", tabindex: 0, "aria-label": `${this.stream.title}: table` },
        h("table", {}, caption, h("thead", {}, head), this.body),
        this.empty,
      ),
      h("div", { class: "table-foot" }, this.summary, this.more),
    );
  }

  private makeHead(name: string, title: string, kind: string): HTMLTableCellElement {
    const label = h("span", {}, name);
    const button = h(
      "button",
      { type: "button", title, onclick: () => this.sortBy(name) },
      label,
      h("i", { class: "arrow", "aria-hidden": "true" }),
    );
    const root = h("th", { scope: "col", class: kind }, button);
    this.heads.push({ root, name });
    return root;
  }

  private sort(): Sort {
    const names = this.heads.map((head) => head.name);
    const chosen = this.context.store.state.sorts[this.stream.name];
    return chosen !== undefined && names.includes(chosen.column)
      ? chosen
      : { column: this.stream.table?.sort || this.columns[0]?.spec.name || "", descending: true };
  }

  private sortBy(column: string): void {
    const now = this.sort();
    const isKey = this.stream.keys.includes(column);
    const descending = now.column === column ? !now.descending : !isKey;
    this.context.store.update({
      sorts: { ...this.context.store.state.sorts, [this.stream.name]: { column, descending } },
    });
  }

  private toggleMore(): void {
    this.limit = this.limit === FEW ? MANY : FEW;
    this.context.feed.wishTable(this.entry, this.wish());
    setText(this.more, this.limit === FEW ? "Show more" : "Show fewer");
  }

  private wish(): TableWish {
    const sort = this.sort();
    const isKey = this.stream.keys.includes(sort.column);
    const wish: TableWish = {
      stream: this.stream.name,
      sort: isKey ? this.stream.table?.sort || this.columns[0]?.spec.name || "" : sort.column,
      descending: isKey ? true : sort.descending,
      limit: this.limit,
    };
    const filter = fitBytes(this.context.store.state.filter.trim(), MAX_FILTER_BYTES);
    return filter === "" ? wish : { ...wish, filter };
  }

  private pick(event: Event): void {
    const row = this.rows.find((r) => r.root.contains(event.target as Node));
    if (row !== undefined && window.getSelection()?.isCollapsed !== false)
      toggleFocus(this.context, this.stream, row.key);
  }

  private paintHeads(): void {
    const sort = this.sort();
    for (const { root, name } of this.heads) {
      setAttribute(root, "aria-sort", name === sort.column ? (sort.descending ? "descending" : "ascending") : "none");
    }
  }

  /* While somebody aims at a row it stays under the pointer: known rows keep their order, new ones come last. */
  private settle(rows: TableRow[]): TableRow[] {
    if (!this.isHeld || this.order.length === 0) {
      this.order = rows.map((row) => keyText(row.key));
      return rows;
    }
    const places = new Map(this.order.map((key, i) => [key, i]));
    return rows
      .map((row, i) => ({ row, place: places.get(keyText(row.key)) ?? this.order.length + i }))
      .sort((a, b) => a.place - b.place)
      .map((one) => one.row);
  }

  private paint(): void {
    const message = this.entry.latest;
    const sort = this.sort();
    const received = message?.rows ?? [];
    const rows = this.settle(ordered(received, this.stream.keys.indexOf(sort.column), sort.descending));
    const tops = this.columns.map(({ spec, at }) => this.top(received, at, spec.unit));
    const focus = focusOf(this.context, this.stream);
    while (this.rows.length < rows.length) this.rows.push(this.makeRow());
    this.rows.length = Math.min(this.rows.length, Math.max(rows.length, FEW));
    rows.forEach((row, i) => this.paintRow(this.rows[i]!, row, tops, focus));
    arrange(
      this.body,
      this.rows.slice(0, rows.length).map((row) => row.root),
    );
    this.paintSummary(rows.length, message?.total ?? 0, message === null);
    setClass(this.element, "has-focus", focus !== null);
  }

  private paintSummary(shown: number, total: number, isWaiting: boolean): void {
    const { filter } = this.context.store.state;
    setText(this.summary, shown === 0 ? "" : `${shown} of ${formatted(total, "")} keys`);
    setText(
      this.empty,
      isWaiting ? "Waiting for the first window" : filter === "" ? "No keys yet" : `No key contains “${filter}”`,
    );
    this.empty.hidden = shown > 0;
    this.more.hidden = this.limit === FEW && total <= shown;
    if (!isWaiting && filter === "") this.onTotal(total);
  }

  /* What a full bar means. */
  private top(rows: readonly TableRow[], at: number, unit: string): number {
    let top = unit === "%" ? 10 : 0;
    for (const row of rows) {
      const value = row.values[at];
      if (typeof value === "number") top = Math.max(top, Math.abs(value));
    }
    return top;
  }

  private makeRow(): RowElements {
    const keys = this.stream.keys.map((_, i) =>
      i === 0 ? h("button", { type: "button", class: "key" }) : h("span", { class: "key" }),
    );
    const cells = this.columns.map(({ spec }): Cell => {
      const bar = h("i", { class: "bar", "aria-hidden": "true" });
      const text = h("span");
      const isText = spec.function === "topk";
      return { root: h("td", { class: isText ? "text" : "number" }, isText ? null : bar, text), bar, text, fill: -1 };
    });
    const heads = keys.map((key, i) =>
      i === 0 ? h("th", { scope: "row", class: "key" }, key) : h("td", { class: "key" }, key),
    );
    return { root: h("tr", {}, ...heads, ...cells.map((cell) => cell.root)), keys, cells, key: [] };
  }

  private paintRow(elements: RowElements, row: TableRow, tops: readonly number[], focus: Key | null): void {
    elements.key = row.key;
    elements.keys.forEach((element, i) => {
      const text = row.key[i] ?? "";
      if (element.textContent === text) return;
      element.textContent = text;
      element.title = text;
    });
    const isFocused = focus !== null && isSameKey(focus, row.key);
    setClass(elements.root, "is-focused", isFocused);
    setAttribute(elements.keys[0]!, "aria-pressed", String(isFocused));
    const sorted = this.sort().column;
    elements.cells.forEach((cell, i) => {
      const { spec, at } = this.columns[i]!;
      const value = row.values[at];
      setText(cell.text, cellText(value, spec.unit));
      if (typeof value === "string") setAttribute(cell.root, "title", value);
      const fill = typeof value === "number" && tops[i]! > 0 ? Math.round((Math.abs(value) / tops[i]!) * BAR_STEPS) : 0;
      if (fill !== cell.fill) {
        cell.fill = fill;
        cell.bar.style.transform = `scaleX(${Math.min(1, fill / BAR_STEPS)})`;
      }
      setClass(cell.root, "is-anomaly", (row.scores[at] ?? 0) >= ANOMALY_SCORE);
      setClass(cell.root, "is-sorted", spec.name === sorted);
    });
  }
}
