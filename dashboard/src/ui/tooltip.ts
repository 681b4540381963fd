/* tooltip.ts - The box beside the pointer: one for the whole page. */
import { arrange, h, setText } from "./dom";

export interface TooltipRow {
  colour: string | null; /* a CSS class of the swatch */
  label: string;
  value: string;
  note: string;
  isAnomaly: boolean;
}

interface RowElements {
  root: HTMLElement;
  swatch: HTMLElement;
  label: HTMLElement;
  value: HTMLElement;
  note: HTMLElement;
}

const GAP_PX = 14;

export class Tooltip {
  private readonly title = h("div", { class: "tooltip-title" });
  private readonly list = h("div", { class: "tooltip-rows" });
  readonly element = h("div", { class: "tooltip", "aria-hidden": "true", hidden: true }, this.title, this.list);
  private rows: RowElements[] = [];

  show(title: string, rows: readonly TooltipRow[], at: { x: number; y: number }): void {
    setText(this.title, title);
    while (this.rows.length < rows.length) this.rows.push(this.makeRow());
    rows.forEach((row, i) => {
      const elements = this.rows[i]!;
      elements.swatch.className = row.colour === null ? "swatch none" : `swatch ${row.colour}`;
      setText(elements.label, row.label);
      setText(elements.value, row.value);
      setText(elements.note, row.note);
      elements.root.className = row.isAnomaly ? "tooltip-row is-anomaly" : "tooltip-row";
    });
    arrange(
      this.list,
      this.rows.slice(0, rows.length).map((row) => row.root),
    );
    this.element.hidden = false;
    this.place(at);
  }

  hide(): void {
    this.element.hidden = true;
  }

  private makeRow(): RowElements {
    const [swatch, label, value, note] = [h("i"), h("span", { class: "label" }), h("b"), h("em")];
    return { root: h("div", {}, swatch, label, value, note), swatch, label, value, note };
  }

  private place(at: { x: number; y: number }): void {
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const isRight = at.x + GAP_PX + width < document.documentElement.clientWidth - 8;
    const x = isRight ? at.x + GAP_PX : Math.max(8, at.x - GAP_PX - width);
    const y = Math.max(8, Math.min(at.y + GAP_PX, window.innerHeight - height - 8));
    this.element.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }
}
