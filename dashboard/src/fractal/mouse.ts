/* mouse.ts - Zooming and panning: a box by dragging, the wheel, Shift and drag; a tap on a touch screen. */
import type { Point, Size, View } from "./view";
import { panned, zoomed, zoomedInto } from "./view";

const BOX_LEAST = 8; /* pixels; less is a click */
const CLICK_FACTOR = 2;
const WHEEL_STEP = 0.0018; /* of the zoom's logarithm, for a pixel of the wheel */

export interface Stage {
  canvas: HTMLCanvasElement;
  box: HTMLElement;
  view(): View;
  size(): Size;
  go(view: View): void;
  hover(at: Point): void;
}

export class Mouse {
  private from: Point | null = null;
  private isPanning = false;
  private wheel = 0;
  private wheelAt: Point = { x: 0, y: 0 };
  private frame = 0;

  constructor(private readonly stage: Stage) {
    const { canvas } = stage;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => this.end());
    canvas.addEventListener("wheel", (event) => this.turn(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /* In the canvas's own pixels. */
  private at(event: MouseEvent): Point {
    const { canvas } = this.stage;
    const ratio = canvas.width / Math.max(canvas.clientWidth, 1);
    return { x: event.offsetX * ratio, y: event.offsetY * ratio };
  }

  private down(event: PointerEvent): void {
    if (this.from) return;
    this.from = this.at(event);
    this.isPanning = event.shiftKey || event.button === 1;
    this.stage.canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  private move(event: PointerEvent): void {
    const now = this.at(event);
    this.stage.hover(now);
    if (!this.from) return;
    if (this.isPanning) {
      if (Math.hypot(now.x - this.from.x, now.y - this.from.y) < 2) return;
      this.stage.go(panned(this.stage.view(), this.stage.size(), { x: this.from.x - now.x, y: this.from.y - now.y }));
      this.from = now;
    } else this.showBox(this.from, now);
  }

  private up(event: PointerEvent): void {
    const now = this.at(event);
    const { from, isPanning } = this;
    this.end();
    if (!from || isPanning) return;
    const { stage } = this;
    const width = Math.abs(now.x - from.x);
    const height = Math.abs(now.y - from.y);
    if (width >= BOX_LEAST && height >= BOX_LEAST) {
      const box = { x: Math.min(from.x, now.x), y: Math.min(from.y, now.y), width, height };
      stage.go(zoomedInto(stage.view(), stage.size(), box));
    } else if (event.button === 2) stage.go(zoomed(stage.view(), stage.size(), now, 1 / CLICK_FACTOR));
    else if (event.detail > 1 || event.pointerType === "touch") {
      stage.go(zoomed(stage.view(), stage.size(), now, CLICK_FACTOR));
    }
  }

  private end(): void {
    this.from = null;
    this.isPanning = false;
    this.stage.box.hidden = true;
  }

  /* Turns within one frame are one step. */
  private turn(event: WheelEvent): void {
    event.preventDefault();
    const pixels = event.deltaMode === 0 ? event.deltaY : event.deltaY * (event.deltaMode === 1 ? 16 : 400);
    this.wheel -= pixels * WHEEL_STEP;
    this.wheelAt = this.at(event);
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      const factor = Math.exp(this.wheel);
      this.frame = this.wheel = 0;
      this.stage.go(zoomed(this.stage.view(), this.stage.size(), this.wheelAt, factor));
    });
  }

  private showBox(from: Point, now: Point): void {
    const { box, canvas } = this.stage;
    const ratio = canvas.clientWidth / Math.max(canvas.width, 1);
    box.hidden = false;
    box.style.left = `${Math.min(from.x, now.x) * ratio}px`;
    box.style.top = `${Math.min(from.y, now.y) * ratio}px`;
    box.style.width = `${Math.abs(now.x - from.x) * ratio}px`;
    box.style.height = `${Math.abs(now.y - from.y) * ratio}px`;
  }
}
