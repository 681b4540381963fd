/* flame.ts - A flame graph that is drawn anew every second: callers on top, click to zoom, arrows to walk. */
import type { FlameBox, FlameNode } from "../core/processes";
import { baseName, buildFlame, follow, layOutFlame, matches, matchedUs, pathOf } from "../core/processes";
import type { ProfileAnswer } from "../core/processes";
import { formatted } from "../core/format";
import type { Size } from "./dom";
import { fitCanvas, h, setAttribute, setText } from "./dom";
import { paintSoon } from "./frames";
import { palette } from "./theme";
import type { Tooltip } from "./tooltip";

const ROW_PX = 19;
const LEAST_PX = 0.6;
const TEXT_PX = 26; /* a narrower box has no text */

/* Files are told apart by hue. */
function hueOf(text: string): number {
  let hash = 2166136261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return (hash >>> 0) % 360;
}

function colourOf(node: FlameNode, isDimmed: boolean): string {
  const isDark = palette.name === "dark";
  if (isDimmed || node.parent === null) return palette.raised;
  if (node.kind === "mark") return isDark ? "hsl(0 0% 34%)" : "hsl(0 0% 80%)";
  return isDark ? `hsl(${hueOf(node.file)} 42% 34%)` : `hsl(${hueOf(node.file)} 62% 80%)`;
}

export class Flame {
  readonly element: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly note = h("p", { class: "plot-note" }, "No samples yet: the process has not been on a CPU");
  private readonly status = h("span", { class: "flame-status", "data-testid": "flame-status", "aria-live": "polite" });
  private size: Size = { width: 0, height: 0 };
  private root: FlameNode | null = null;
  private path: string[] = [];
  private walk: string[] = []; /* where the keyboard is */
  private boxes: FlameBox[] = [];
  private search = "";
  private readonly painter = (): void => this.paint();

  constructor(private readonly tooltip: Tooltip) {
    this.canvas = h("canvas", {
      class: "flame",
      tabindex: 0,
      role: "img",
      "aria-label": "Flame graph",
      "data-testid": "flame",
      onclick: (event) => this.clicked(event as MouseEvent),
      onpointermove: (event) => this.hovered(event as MouseEvent),
      onpointerleave: () => tooltip.hide(),
      onkeydown: (event) => this.pressed(event as KeyboardEvent),
    });
    const reset = h("button", { type: "button", class: "quiet", onclick: () => this.unzoom() }, "Reset zoom");
    const foot = h("div", { class: "flame-foot" }, this.status, reset);
    this.element = h("div", { class: "flame-box" }, this.canvas, this.note, foot);
    new ResizeObserver((entries) => {
      for (const { contentRect } of entries) {
        this.size.width = contentRect.width;
        paintSoon(this.painter);
      }
    }).observe(this.element);
  }

  set(answer: ProfileAnswer | null, tid: number | null): FlameNode | null {
    this.root = answer === null ? null : buildFlame(answer, tid);
    paintSoon(this.painter);
    return this.root;
  }

  setSearch(search: string): void {
    this.search = search.trim().toLowerCase();
    paintSoon(this.painter);
  }

  redraw(): void {
    paintSoon(this.painter);
  }

  /* False where there was nothing to undo. */
  unzoom(): boolean {
    if (this.path.length === 0) return false;
    this.path = this.walk = [];
    paintSoon(this.painter);
    return true;
  }

  /* For tests: what is shown, as names from the root, with shares of everything in per cent. */
  shown(): { names: string[]; zoom: string[]; percent: Record<string, number> } {
    const percent: Record<string, number> = {};
    for (const { node } of this.boxes) percent[node.name] = this.share(node);
    return { names: this.boxes.map((box) => box.node.name), zoom: this.path.map((p) => p.split("\0")[0]!), percent };
  }

  private share(node: FlameNode): number {
    return this.root !== null && this.root.us > 0 ? (100 * node.us) / this.root.us : 0;
  }

  private paint(): void {
    const { root } = this;
    const isEmpty = root === null || root.us === 0;
    this.note.hidden = !isEmpty;
    this.canvas.hidden = isEmpty;
    if (isEmpty) {
      this.boxes = [];
      setText(this.status, "");
      return;
    }
    const zoom = follow(root, this.path);
    this.boxes = layOutFlame(root, zoom, LEAST_PX / Math.max(1, this.size.width));
    const depth = this.boxes.reduce((most, box) => Math.max(most, box.depth), 0) + 1;
    this.size.height = depth * ROW_PX;
    this.canvas.style.height = `${this.size.height}px`;
    const context = fitCanvas(this.canvas, this.size);
    if (context === null) return;
    context.save();
    context.scale(devicePixelRatio, devicePixelRatio);
    context.font = "12px " + getComputedStyle(this.canvas).fontFamily;
    context.textBaseline = "middle";
    const walked = this.walk.length > 0 ? follow(root, this.walk) : null;
    for (const box of this.boxes) this.paintBox(context, box, box.node === walked);
    context.restore();
    this.paintStatus(root, zoom, walked);
  }

  private paintBox(context: CanvasRenderingContext2D, box: FlameBox, isWalked: boolean): void {
    const x = box.x * this.size.width;
    const y = box.depth * ROW_PX;
    const width = Math.max(LEAST_PX, box.width * this.size.width - 1);
    const isMatch = matches(box.node, this.search);
    context.fillStyle = isMatch ? palette.accent : colourOf(box.node, this.search !== "");
    context.fillRect(x, y, width, ROW_PX - 1);
    if (isWalked) {
      context.strokeStyle = palette.text;
      context.lineWidth = 2;
      context.strokeRect(x + 1, y + 1, Math.max(1, width - 2), ROW_PX - 3);
    }
    if (width < TEXT_PX) return;
    context.fillStyle = isMatch ? palette.bg : palette.text;
    context.save();
    context.beginPath();
    context.rect(x, y, width - 3, ROW_PX);
    context.clip();
    context.fillText(box.node.name, x + 4, y + ROW_PX / 2);
    context.restore();
  }

  private paintStatus(root: FlameNode, zoom: FlameNode, walked: FlameNode | null): void {
    const about = walked ?? (zoom === root ? null : zoom);
    const found = matchedUs(root, this.search);
    const parts = [`${formatted(root.count, "")} samples`];
    if (about !== null) parts.push(`${about.name}: ${formatted(this.share(about), "%")}`);
    if (this.search !== "") parts.push(`matched: ${formatted((100 * found) / root.us, "%")}`);
    setText(this.status, parts.join(" · "));
    const top = this.boxes.filter((box) => box.depth > 0).slice(0, 5);
    const words = top.map((box) => `${box.node.name} ${this.share(box.node).toFixed(0)} %`).join(", ");
    setAttribute(this.canvas, "aria-label", `Flame graph, ${formatted(root.count, "")} samples: ${words}`);
  }

  private boxAt(event: MouseEvent): FlameBox | null {
    const x = event.offsetX / Math.max(1, this.size.width);
    const depth = Math.floor(event.offsetY / ROW_PX);
    return this.boxes.find((box) => box.depth === depth && x >= box.x && x < box.x + box.width) ?? null;
  }

  private clicked(event: MouseEvent): void {
    const box = this.boxAt(event);
    if (box === null) return;
    this.walk = [];
    this.path = pathOf(box.node);
    paintSoon(this.painter);
  }

  private hovered(event: MouseEvent): void {
    const box = this.boxAt(event);
    if (box === null) return this.tooltip.hide();
    const { node } = box;
    const row = (label: string, us: number): Parameters<Tooltip["show"]>[1][number] => ({
      colour: null,
      label,
      value: formatted((100 * us) / Math.max(1, this.root?.us ?? 1), "%"),
      note: formatted(us / 1e3, "ms"),
      isAnomaly: false,
    });
    const place = node.file === "" ? "" : ` (${baseName(node.file)}${node.line > 0 ? `:${node.line}` : ""})`;
    this.tooltip.show(node.name + place, [row("with callees", node.us), row("itself", node.selfUs)], {
      x: event.clientX,
      y: event.clientY,
    });
  }

  private pressed(event: KeyboardEvent): void {
    if (this.root === null) return;
    const here = follow(this.root, this.walk.length > 0 ? this.walk : this.path);
    const siblings = here.parent?.children ?? [here];
    const at = siblings.indexOf(here);
    const next = {
      ArrowDown: here.children[0],
      ArrowUp: here.parent ?? undefined,
      ArrowLeft: siblings[at - 1],
      ArrowRight: siblings[at + 1],
    }[event.key];
    if (event.key === "Enter") this.path = this.walk;
    else if (next !== undefined) this.walk = pathOf(next);
    else return;
    event.preventDefault();
    event.stopPropagation();
    paintSoon(this.painter);
  }
}
