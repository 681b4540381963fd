/* main.ts - The page of `sidewinder fractal --serve`: the picture, and what there is to choose. */
import { h, setText } from "../ui/dom";
import "./fractal.css";
import { Mouse } from "./mouse";
import type { Drawn } from "./painter";
import { Painter } from "./painter";
import type { Kind, Point, View } from "./view";
import { commandOf, formatView, homeOf, KINDS, panned, parseView, placeOf, zoomed } from "./view";

const SETTLE_MS = 150; /* a view that stays for so long gets an entry in the history */
const KEY_STEP = 0.2; /* of the view */
const SHOWN_DIGITS = 42;

interface Defaults {
  palettes: { name: string; looks: string }[];
}

export interface Handle {
  /* What the page shows; `busy` while tiles are on their way. */
  state(): { view: View; busy: boolean; drawn: Omit<Drawn, "view"> | null };
}

declare global {
  interface Window {
    __fractal: Handle;
  }
}

const middle = (text: string): string =>
  text.length <= SHOWN_DIGITS ? text : `${text.slice(0, SHOWN_DIGITS - 11)}…${text.slice(-10)}`;

const amount = (value: number): string => {
  const units: [number, string][] = [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  const unit = units.find(([least]) => value >= least);
  return unit ? `${(value / unit[0]).toPrecision(3)} ${unit[1]}` : String(Math.round(value));
};

class Page {
  view = parseView(location.hash);
  readonly canvas = h("canvas", { "aria-label": "the fractal", tabindex: 0 });
  private readonly box = h("div", { class: "box", hidden: true });
  private readonly kind = h("select", { "aria-label": "kind", onchange: () => this.takeKind() });
  private readonly palette = h("select", { "aria-label": "palette", onchange: () => this.takePalette() });
  private readonly iterations = h("input", {
    "aria-label": "iterations",
    placeholder: "auto",
    inputmode: "numeric",
    size: 8,
    onchange: () => this.takeIterations(),
  });
  private readonly julia = h("input", {
    "aria-label": "constant of the Julia set",
    size: 18,
    onchange: () => this.takeJulia(),
  });
  private readonly place = h("span", { class: "place" });
  private readonly cursor = h("span", { class: "cursor" });
  private readonly work = h("span", { class: "work", role: "status" });
  private readonly fault = h("p", { class: "fault", role: "alert", hidden: true });
  readonly painter = new Painter(this.canvas, (drawn) => this.tell(drawn));
  private settling = 0;

  constructor(root: HTMLElement) {
    const button = (name: string, title: string, act: () => void): HTMLElement =>
      h("button", { type: "button", title, onclick: act }, name);
    for (const name of KINDS) this.kind.append(h("option", { value: name }, name));
    const bar = h(
      "header",
      {},
      h("h1", {}, "Sidewinder fractal"),
      this.kind,
      this.julia,
      this.palette,
      h("label", {}, "iterations ", this.iterations),
      button("+", "zoom in (+)", () => this.zoom(2)),
      button("−", "zoom out (-)", () => this.zoom(0.5)),
      button("Reset", "the whole again (0)", () => this.reset()),
      button("Copy command", "the command that draws this view", () => void this.copy()),
    );
    const help = h("span", { class: "help" }, "drag a box or turn the wheel to zoom, Shift and drag to pan");
    const foot = h("footer", {}, this.place, this.cursor, this.work, help);
    root.append(bar, h("main", {}, this.canvas, this.box, this.fault), foot);
    new Mouse({
      canvas: this.canvas,
      box: this.box,
      view: () => this.view,
      size: () => this.painter.size,
      go: (view) => this.go(view),
      hover: (at) => this.hover(at),
    });
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("popstate", () => this.show(parseView(location.hash)));
    new ResizeObserver(() => this.fit()).observe(this.canvas);
  }

  paletteNames(defaults: Defaults): void {
    this.palette.replaceChildren();
    for (const { name, looks } of defaults.palettes) {
      this.palette.append(h("option", { value: name, title: looks }, name));
    }
    this.palette.value = this.view.palette;
  }

  /* Views that follow quickly, as those of a turning wheel, are one step back in the history. */
  go(view: View): void {
    if (this.settling === 0) history.pushState(null, "", formatView(view));
    else history.replaceState(null, "", formatView(view));
    clearTimeout(this.settling);
    this.settling = setTimeout(() => (this.settling = 0), SETTLE_MS);
    this.show(view);
  }

  private show(view: View): void {
    this.view = view;
    this.kind.value = view.kind;
    this.palette.value = view.palette;
    this.iterations.value = view.iterations > 0 ? String(view.iterations) : "";
    this.julia.hidden = view.kind !== "julia";
    this.julia.value = view.julia.join(", ");
    const zoom = view.zoom < 1e6 ? Number(view.zoom.toPrecision(4)).toString() : view.zoom.toExponential(2);
    setText(this.place, `${middle(view.re)}, ${middle(view.im)}  ×${zoom.replace("e+", "e")}`);
    this.place.title = `${view.re}, ${view.im}`;
    if (this.painter.size.width > 0) this.painter.show(view);
  }

  private fit(): void {
    const size = {
      width: Math.round(this.canvas.clientWidth * devicePixelRatio),
      height: Math.round(this.canvas.clientHeight * devicePixelRatio),
    };
    if (size.width === 0 || size.height === 0) return;
    if (size.width === this.painter.size.width && size.height === this.painter.size.height && this.painter.drawn) return;
    this.painter.resize(size);
    this.show(this.view);
  }

  private tell(drawn: Drawn): void {
    this.fault.hidden = drawn.error === "";
    setText(this.fault, drawn.error);
    if (drawn.done === 0) return;
    const rate = drawn.computeMillis > 0 ? drawn.iterations / (drawn.computeMillis / 1000) : 0;
    const parts = [
      drawn.done < drawn.tiles ? `${drawn.done} of ${drawn.tiles} tiles` : `${Math.round(drawn.millis)} ms`,
      `${amount(drawn.iterations)} iterations, ${amount(rate)}/s a worker, at most ${drawn.maxIterations}`,
    ];
    if (drawn.isDeep) parts.push("deep");
    setText(this.work, parts.join(" · "));
  }

  private hover(at: Point): void {
    const { re, im } = placeOf(this.view, this.painter.size, at);
    setText(this.cursor, this.view.zoom < 1e9 ? `at ${Number(re).toPrecision(10)}, ${Number(im).toPrecision(10)}` : "");
  }

  private zoom(factor: number): void {
    const { size } = this.painter;
    this.go(zoomed(this.view, size, { x: size.width / 2, y: size.height / 2 }, factor));
  }

  private pan(x: number, y: number): void {
    const { size } = this.painter;
    this.go(panned(this.view, size, { x: x * KEY_STEP * size.width, y: y * KEY_STEP * size.height }));
  }

  private reset(): void {
    this.go({ ...homeOf(this.view.kind, this.view.palette), julia: this.view.julia });
  }

  private key(event: KeyboardEvent): void {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts: Record<string, () => void> = {
      "+": () => this.zoom(2),
      "=": () => this.zoom(2),
      "-": () => this.zoom(0.5),
      "0": () => this.reset(),
      ArrowLeft: () => this.pan(-1, 0),
      ArrowRight: () => this.pan(1, 0),
      ArrowUp: () => this.pan(0, -1),
      ArrowDown: () => this.pan(0, 1),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  private takeKind(): void {
    this.go({ ...homeOf(this.kind.value as Kind, this.view.palette), julia: this.view.julia });
  }

  private takePalette(): void {
    this.go({ ...this.view, palette: this.palette.value });
  }

  private takeIterations(): void {
    const value = Math.round(Number(this.iterations.value));
    this.go({ ...this.view, iterations: value >= 1 && value <= 1e9 ? value : 0 });
  }

  private takeJulia(): void {
    const [re = NaN, im = NaN] = this.julia.value.split(",").map(Number);
    this.go(Math.abs(re) <= 1000 && Math.abs(im) <= 1000 ? { ...this.view, julia: [re, im] } : this.view);
  }

  private async copy(): Promise<void> {
    await navigator.clipboard.writeText(commandOf(this.view, this.painter.size));
    setText(this.work, "copied");
  }
}

const page = new Page(document.getElementById("app")!);

window.__fractal = {
  state() {
    const { drawn, isBusy } = page.painter;
    if (!drawn) return { view: page.view, busy: true, drawn: null };
    const { view: _view, ...rest } = drawn;
    return { view: page.view, busy: isBusy, drawn: rest };
  },
};

void fetch("defaults")
  .then((answer) => answer.json())
  .then((defaults: Defaults) => page.paletteNames(defaults));
