/* legend.ts - Which line is which, and its value now or under the cursor. */
import type { Key } from "../core/protocol";
import { keyText } from "../core/protocol";
import { arrange, h, setClass, setText } from "./dom";

export interface LegendItem {
  key: Key;
  colour: number;
  value: string;
  isAnomaly: boolean;
}

interface ItemElements {
  root: HTMLLIElement;
  button: HTMLButtonElement;
  swatch: HTMLElement;
  label: HTMLElement;
  value: HTMLElement;
}

export interface LegendHandlers {
  pick(key: Key): void;
  point(series: number | null): void;
}

export class Legend {
  readonly element: HTMLUListElement;
  private items: ItemElements[] = [];
  private keys: Key[] = [];

  constructor(
    private readonly handlers: LegendHandlers,
    label: string,
  ) {
    this.element = h("ul", { class: "legend", "aria-label": label });
  }

  paint(items: readonly LegendItem[], isAtCursor: boolean): void {
    while (this.items.length < items.length) this.items.push(this.makeItem(this.items.length));
    this.keys = items.map((item) => item.key);
    items.forEach((item, i) => {
      const elements = this.items[i]!;
      const text = keyText(item.key);
      if (elements.label.textContent !== text) {
        elements.label.textContent = text;
        elements.button.title = `${text}: show only this`;
      }
      elements.swatch.className = `swatch s${item.colour}`;
      setText(elements.value, item.value);
      setClass(elements.root, "is-anomaly", item.isAnomaly);
    });
    setClass(this.element, "at-cursor", isAtCursor);
    arrange(
      this.element,
      this.items.slice(0, items.length).map((item) => item.root),
    );
  }

  private makeItem(index: number): ItemElements {
    const swatch = h("i", { class: "swatch" });
    const label = h("span", { class: "label" });
    const value = h("span", { class: "value" });
    const point = (series: number | null) => () => this.handlers.point(series);
    const button = h(
      "button",
      {
        type: "button",
        onclick: () => this.handlers.pick(this.keys[index] ?? []),
        onmouseenter: point(index),
        onmouseleave: point(null),
        onfocus: point(index),
        onblur: point(null),
      },
      swatch,
      label,
      value,
    );
    return { root: h("li", {}, button), button, swatch, label, value };
  }
}
