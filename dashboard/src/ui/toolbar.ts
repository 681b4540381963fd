/* toolbar.ts - The second line: tabs, a jump to each stream, what narrows the view, and the text filter. */
import type { StreamSpec } from "../core/protocol";
import { PYTHON_STREAM } from "../core/processes";
import { keyText } from "../core/protocol";
import { span } from "../core/time";
import type { Tab } from "../core/urlstate";
import { TABS } from "../core/urlstate";
import type { Context } from "./context";
import { h, icon, setAttribute, setText } from "./dom";
import { motion } from "./theme";

const TYPING_MS = 200;
const MAGNIFIER = "M7 2.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 0 1 0-9M10.3 10.3 13.5 13.5";
const CROSS = "M5 5l6 6M11 5l-6 6";
const TAB_NAMES: Record<Tab, string> = { streams: "Streams", python: "Python", engine: "Engine" };

function makeChip(text: HTMLElement, label: string, testId: string, clear: () => void): HTMLButtonElement {
  const names = { title: label, "aria-label": label, "data-testid": testId };
  return h("button", { type: "button", class: "chip", hidden: true, ...names, onclick: clear }, text, icon(CROSS));
}

export class Toolbar {
  readonly element: HTMLElement;
  private readonly tabs = new Map<Tab, HTMLButtonElement>();
  private readonly jumps = h("nav", { class: "jumps", "aria-label": "Streams" });
  private readonly focusText = h("span");
  private readonly zoomText = h("span");
  private readonly focusChip: HTMLButtonElement;
  private readonly zoomChip: HTMLButtonElement;
  private readonly input: HTMLInputElement;
  private timer = 0;

  constructor(private readonly context: Context) {
    const all = "Show all keys again (Escape)";
    this.focusChip = makeChip(this.focusText, all, "focus-chip", () => context.store.update({ focus: null }));
    const live = "Back to the live range (double-click a chart)";
    this.zoomChip = makeChip(this.zoomText, live, "zoom-chip", () => context.store.update({ zoom: null }));
    this.input = this.makeInput();
    this.element = h(
      "div",
      { class: "toolbar" },
      this.makeTabs(),
      this.jumps,
      h("div", { class: "chips" }, this.focusChip, this.zoomChip),
      h("div", { class: "filter" }, icon(MAGNIFIER), this.input, h("kbd", { "aria-hidden": "true" }, "/")),
    );
    this.applyState();
  }

  setStreams(streams: readonly StreamSpec[]): void {
    const jump = (stream: StreamSpec) => (): void => {
      this.context.store.update({ tab: "streams" });
      const target = document.getElementById(`stream-${stream.name}`);
      target?.scrollIntoView({ behavior: motion.matches ? "auto" : "smooth", block: "start" });
    };
    const buttons = streams.map((stream) =>
      h("button", { type: "button", onclick: jump(stream) }, stream.title || stream.name),
    );
    this.jumps.replaceChildren(...(streams.length > 1 ? buttons : []));
    this.tabs.get("python")!.hidden = !streams.some((stream) => stream.name === PYTHON_STREAM);
  }

  focusFilter(): void {
    this.input.focus({ preventScroll: true });
    this.input.select();
  }

  applyState(): void {
    const { state } = this.context.store;
    for (const [tab, button] of this.tabs) {
      setAttribute(button, "aria-selected", String(tab === state.tab));
      setAttribute(button, "tabindex", tab === state.tab ? 0 : -1);
    }
    this.jumps.hidden = state.tab !== "streams";
    this.focusChip.hidden = state.focus === null;
    setText(this.focusText, state.focus === null ? "" : keyText(state.focus.key));
    this.zoomChip.hidden = state.zoom === null;
    setText(this.zoomText, state.zoom === null ? "" : span(state.zoom.from, state.zoom.to));
    if (document.activeElement !== this.input && this.input.value !== state.filter) this.input.value = state.filter;
    if (state.filter === "" && this.timer === 0) this.input.value = "";
  }

  private makeTabs(): HTMLElement {
    const list = h("div", { class: "tabs", role: "tablist", "aria-label": "Views" });
    const { store } = this.context;
    for (const tab of TABS) {
      const names = { id: `tab-${tab}`, "data-testid": `tab-${tab}`, "aria-controls": `view-${tab}` };
      const button = h(
        "button",
        { type: "button", role: "tab", ...names, onclick: () => store.update({ tab, process: null }) },
        TAB_NAMES[tab],
      );
      this.tabs.set(tab, button);
      list.append(button);
    }
    list.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const shown = TABS.filter((one) => !this.tabs.get(one)!.hidden);
      const step = event.key === "ArrowLeft" ? shown.length - 1 : 1;
      const tab = shown[(shown.indexOf(store.state.tab) + step) % shown.length]!;
      store.update({ tab, process: null });
      this.tabs.get(tab)!.focus();
    });
    return list;
  }

  private makeInput(): HTMLInputElement {
    return h("input", {
      type: "search",
      placeholder: "Filter keys and events",
      "aria-label": "Filter keys and events",
      "data-testid": "filter",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.typed(),
      onkeydown: (event) => this.key(event as KeyboardEvent),
    });
  }

  private typed(): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.commit(), TYPING_MS);
  }

  private commit(): void {
    window.clearTimeout(this.timer);
    this.timer = 0;
    this.context.store.update({ filter: this.input.value });
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Enter") this.commit();
    if (event.key !== "Escape") return;
    event.stopPropagation();
    if (this.input.value === "") this.input.blur();
    this.input.value = "";
    this.commit();
  }
}
