/* ribbon.ts - The anomaly ribbon: one line of time per stream; where something was unusual there is a mark. */
import { withAlpha } from "../core/palette";
import type { EventMessage, StreamSpec } from "../core/protocol";
import { ANOMALY_SCORE, keyText } from "../core/protocol";
import { moment, span } from "../core/time";
import type { ChartPanel } from "./chart";
import type { Context } from "./context";
import { focusOf } from "./context";
import type { Size } from "./dom";
import { fitCanvas, h, setClass, setText } from "./dom";
import { paintSoon } from "./frames";
import { palette } from "./theme";
import type { TooltipRow } from "./tooltip";

const NEAR_PX = 5;
const MAX_TOLD = 6;

interface Line {
  stream: StreamSpec;
  canvas: HTMLCanvasElement;
  count: HTMLElement;
}

interface Mark {
  time: number;
  score: number;
}

export class Ribbon {
  readonly element: HTMLElement;
  private readonly span = h("span", { class: "ribbon-span" });
  private readonly total = h("span", { class: "ribbon-total" });
  private readonly needle = h("i", { class: "needle", "aria-hidden": "true", hidden: true });
  private readonly track: HTMLElement;
  private readonly lines: Line[];
  private readonly observer: ResizeObserver;
  private readonly stops: (() => void)[] = [];
  private size: Size = { width: 0, height: 0 }; /* of every line */
  private left = 0;
  private readonly painter = (): void => this.paint();

  constructor(
    private readonly context: Context,
    streams: readonly StreamSpec[],
    private readonly chartsOf: (stream: string) => readonly ChartPanel[],
    private readonly onPick: (event: EventMessage) => void,
  ) {
    this.lines = streams.map((stream) => ({
      stream,
      canvas: h("canvas", { "aria-hidden": "true" }),
      count: h("span", { class: "ribbon-count" }),
    }));
    const rows = this.lines.map((line) =>
      h(
        "div",
        { class: "ribbon-row" },
        h("span", { class: "ribbon-name", title: line.stream.title }, line.stream.title || line.stream.name),
        line.canvas,
        line.count,
      ),
    );
    this.track = h("div", { class: "ribbon-track" }, ...rows, this.needle);
    this.element = h(
      "section",
      { class: "panel ribbon", "aria-label": "Anomalies over time", "data-testid": "ribbon" },
      h("div", { class: "ribbon-head" }, h("h2", {}, "Anomalies"), this.total, this.span),
      this.track,
    );
    this.track.addEventListener("mousemove", (event) => this.hover(event));
    this.track.addEventListener("mouseleave", () => this.leave());
    this.track.addEventListener("click", (event) => this.click(event));
    this.track.addEventListener("dblclick", () => context.store.update({ zoom: null }));
    this.observer = new ResizeObserver((entries) => {
      for (const entry of entries) this.size = entry.contentRect;
      this.left = this.lines[0]?.canvas.offsetLeft ?? 0;
      this.repaint();
    });
    if (this.lines[0] !== undefined) this.observer.observe(this.lines[0].canvas);
    this.stops.push(context.cursor.listen(() => this.repaint()));
  }

  destroy(): void {
    this.observer.disconnect();
    for (const stop of this.stops) stop();
  }

  repaint(): void {
    paintSoon(this.painter);
  }

  private eventsOf(stream: StreamSpec): EventMessage[] {
    const focus = focusOf(this.context, stream);
    const isShown = (event: EventMessage): boolean =>
      event.level === "anomaly" &&
      event.stream === stream.name &&
      (focus === null || keyText(event.key ?? []) === keyText(focus));
    return [...this.context.events.all()].filter(isShown);
  }

  /* From the log, and from the scores in the charts' own data, which reach further back. */
  private marksOf(stream: StreamSpec): Mark[] {
    const marks = this.eventsOf(stream).map((event) => ({ time: event.time_ms, score: event.score ?? 1 }));
    for (const chart of this.chartsOf(stream.name)) {
      const { ring } = chart.entry;
      const times = ring.timeView();
      for (let s = 0; s < ring.keys.length; s++) {
        const scores = ring.scoreView(s);
        for (let i = 0; i < scores.length; i++)
          if (scores[i]! >= ANOMALY_SCORE) marks.push({ time: times[i]!, score: scores[i]! });
      }
    }
    return marks;
  }

  private paint(): void {
    const whole = this.context.view.whole();
    let total = 0;
    for (const line of this.lines) total += this.paintLine(line);
    setText(this.total, total === 0 ? "none in view" : `${total} in view`);
    setClass(this.element, "has-anomalies", total > 0);
    setText(this.span, whole === null ? "" : span(whole.min, whole.max));
    this.paintNeedle();
  }

  private paintLine(line: Line): number {
    const { canvas } = line;
    const context = fitCanvas(canvas, this.size);
    if (context === null) return 0;
    const unit = devicePixelRatio;
    const { width, height } = canvas;
    context.fillStyle = palette.grid;
    context.fillRect(0, 0, width, height);
    const domain = this.context.view.domain(line.stream.name);
    if (domain === null) return 0;
    const seen = new Set<number>();
    for (const mark of this.marksOf(line.stream)) {
      if (mark.time < domain.min || mark.time > domain.max) continue;
      seen.add(mark.time);
      const x = ((mark.time - domain.min) / (domain.max - domain.min)) * width;
      context.fillStyle = withAlpha(palette.anomaly, 0.45 + 0.55 * Math.min(1, Math.max(0, mark.score)));
      context.fillRect(Math.round(Math.min(width - 2 * unit, x - unit)), 0, Math.max(2, Math.round(2 * unit)), height);
    }
    setText(line.count, seen.size === 0 ? "" : String(seen.size));
    return seen.size;
  }

  private paintNeedle(): void {
    const { time } = this.context.cursor;
    const domain = this.context.view.whole();
    const isShown = time !== null && domain !== null && time >= domain.min && time <= domain.max;
    this.needle.hidden = !isShown;
    if (!isShown) return;
    const left = this.left + ((time - domain.min) / (domain.max - domain.min)) * this.size.width;
    this.needle.style.transform = `translateX(${left.toFixed(1)}px)`;
  }

  /* The line and time under the pointer. */
  private locate(event: MouseEvent): { line: Line; time: number; nearMs: number } | null {
    for (const line of this.lines) {
      const box = line.canvas.getBoundingClientRect();
      const domain = this.context.view.domain(line.stream.name);
      if (domain === null || event.clientY < box.top - 2 || event.clientY > box.bottom + 2) continue;
      if (event.clientX < box.left || event.clientX > box.right) return null;
      const perPx = (domain.max - domain.min) / box.width;
      return { line, time: domain.min + (event.clientX - box.left) * perPx, nearMs: perPx * NEAR_PX };
    }
    return null;
  }

  private near(place: { line: Line; time: number; nearMs: number }): EventMessage[] {
    const distance = (event: EventMessage): number => Math.abs(event.time_ms - place.time);
    return this.eventsOf(place.line.stream)
      .filter((event) => distance(event) <= place.nearMs)
      .sort((a, b) => distance(a) - distance(b));
  }

  private hover(event: MouseEvent): void {
    const place = this.locate(event);
    if (place === null) return this.leave();
    this.context.cursor.set(place.time);
    const found = this.near(place);
    const rows: TooltipRow[] = found.slice(0, MAX_TOLD).map((e) => ({
      colour: null,
      label: e.text,
      value: e.score == null ? "" : e.score.toFixed(2),
      note: "",
      isAnomaly: true,
    }));
    if (found.length > MAX_TOLD)
      rows.push({ colour: null, label: `and ${found.length - MAX_TOLD} more`, value: "", note: "", isAnomaly: false });
    const title = `${place.line.stream.title} · ${moment(found[0]?.time_ms ?? place.time)}`;
    this.context.tooltip.show(title, rows, { x: event.clientX, y: event.clientY });
  }

  private leave(): void {
    this.context.cursor.set(null);
    this.context.tooltip.hide();
  }

  private click(event: MouseEvent): void {
    const place = this.locate(event);
    const found = place === null ? undefined : this.near(place)[0];
    if (found !== undefined) this.onPick(found);
  }
}
