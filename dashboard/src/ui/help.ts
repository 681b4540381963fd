/* help.ts - The keyboard shortcuts, in a dialog. */
import { h } from "./dom";

const SHORTCUTS: readonly (readonly [string, string])[] = [
  ["Space", "pause and resume"],
  ["1 2 3 4", "last minute, 5 minutes, 15 minutes, everything"],
  ["e", "streams or engine"],
  ["p", "streams or Python processes"],
  ["/", "filter keys and events; search in a flame graph"],
  ["t", "theme: dark, light, as the system"],
  ["Esc", "clear: zoom, key, filter; leave a process"],
  ["?", "this list"],
];

const POINTER: readonly (readonly [string, string])[] = [
  ["Drag on a chart", "zoom all charts to that time"],
  ["Double-click", "back to the live range"],
  ["Click a row or legend", "show only that key"],
  ["Click an event", "move the cursor to its time"],
];

function list(rows: readonly (readonly [string, string])[], isKeys: boolean): HTMLElement {
  const dl = h("dl");
  for (const [what, does] of rows) {
    const keys = isKeys ? what.split(" ").map((key) => h("kbd", {}, key)) : [what];
    dl.append(h("dt", {}, ...keys), h("dd", {}, does));
  }
  return dl;
}

export class Help {
  readonly element: HTMLDialogElement;

  constructor() {
    const close = h("button", { type: "button", class: "primary", onclick: () => this.element.close() }, "Close");
    this.element = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "help-title", "data-testid": "help-dialog" },
      h("h2", { id: "help-title" }, "Keyboard and pointer"),
      list(SHORTCUTS, true),
      list(POINTER, false),
      h("p", {}, "The address holds the view: copy it to share what you see."),
      close,
    );
    this.element.addEventListener("click", (event) => {
      if (event.target === this.element) this.element.close();
    });
  }

  toggle(): void {
    if (this.element.open) this.element.close();
    else this.element.showModal();
  }
}
