/* section.ts - One stream: its heading, charts and table. Closed sections ask for nothing. */
import { formatted } from "../core/format";
import { spans } from "../core/layout";
import type { StreamSpec } from "../core/protocol";
import { windowText } from "../core/time";
import { ChartPanel } from "./chart";
import type { Context } from "./context";
import { h, icon, setAttribute, setText } from "./dom";
import { TopTable } from "./table";

const NARROW_COLUMNS = 5; /* a table of so few columns fits beside charts */

export class StreamSection {
  readonly element: HTMLElement;
  readonly charts: ChartPanel[];
  private readonly table: TopTable | null;
  private readonly keys = h("span", { class: "section-keys" });
  private readonly button: HTMLButtonElement;
  private readonly grid = h("div", { class: "grid" });

  constructor(
    private readonly context: Context,
    readonly stream: StreamSpec,
  ) {
    this.charts = stream.charts.map((spec) => new ChartPanel(context, stream, spec));
    this.table = stream.table === null ? null : new TopTable(context, stream, (total) => this.showTotal(total));
    const bodyId = `body-${stream.name}`;
    this.button = h(
      "button",
      { type: "button", class: "section-toggle", "aria-controls": bodyId, onclick: () => this.toggle() },
      icon("M5 6.5 8 9.5l3-3"),
      h("span", {}, stream.title || stream.name),
    );
    this.grid.id = bodyId;
    this.layOut();
    this.element = h(
      "section",
      { class: "stream", id: `stream-${stream.name}`, "aria-label": stream.title || stream.name },
      h(
        "div",
        { class: "section-head" },
        h("h2", {}, this.button),
        h("span", { class: "section-meta" }, `${windowText(stream.window_ns)} windows`),
        this.keys,
      ),
      this.grid,
    );
    this.applyCollapse();
  }

  destroy(): void {
    for (const chart of this.charts) chart.destroy();
    this.table?.destroy();
  }

  applyState(): void {
    this.applyCollapse();
    for (const chart of this.charts) chart.applyState();
    this.table?.applyState();
  }

  repaint(): void {
    for (const chart of this.charts) chart.repaint();
    this.table?.repaint();
  }

  open(): void {
    const { collapsed } = this.context.store.state;
    this.context.store.update({ collapsed: collapsed.filter((name) => name !== this.stream.name) });
  }

  private layOut(): void {
    const isBeside = this.table !== null && this.table.columnCount <= NARROW_COLUMNS && this.charts.length > 0;
    const panels = this.charts.map((chart) => chart.element);
    if (isBeside) panels.push(this.table!.element);
    const widths = spans(panels.length);
    panels.forEach((panel, i) => {
      panel.classList.add(`w${widths[i]!}`);
      if (i === panels.length - 1 && panels.length % 2 === 1) panel.classList.add("odd");
    });
    this.grid.append(...panels);
    if (this.table !== null && !isBeside) {
      this.table.element.classList.add("w6", "odd", "wide");
      this.grid.append(this.table.element);
    }
  }

  private toggle(): void {
    const { collapsed } = this.context.store.state;
    const { name } = this.stream;
    this.context.store.update({
      collapsed: collapsed.includes(name) ? collapsed.filter((n) => n !== name) : [...collapsed, name],
    });
  }

  private applyCollapse(): void {
    const isOpen = !this.context.store.state.collapsed.includes(this.stream.name);
    setAttribute(this.button, "aria-expanded", String(isOpen));
    if (this.grid.hidden === isOpen) this.grid.hidden = !isOpen;
  }

  private showTotal(total: number): void {
    setText(this.keys, total === 1 ? "1 key" : `${formatted(total, "")} keys`);
  }
}
