/* chart.ts - One chart of a stream: header, plot, legend. It asks for data only while it is on screen. */
import { formatted, joined, quantity } from "../core/format";
import { bandLabel, lastPresent } from "../core/layout";
import type { ChartSpec, StreamSpec } from "../core/protocol";
import { ANOMALY_SCORE, keyText } from "../core/protocol";
import type { Range } from "../core/scale";
import { clock, moment } from "../core/time";
import type { ChartEntry, ChartWish } from "../live/feed";
import type { Context } from "./context";
import { focusOf, toggleFocus } from "./context";
import { h, setAttribute, setClass, setText } from "./dom";
import { paintNever, paintSoon } from "./frames";
import { Legend } from "./legend";
import type { PlotData } from "./plot";
import { Plot } from "./plot";
import { palette } from "./theme";
import type { TooltipRow } from "./tooltip";

/* Of an open window these are only what has come so far. */
const GROWING = new Set(["count", "sum", "distinct", "rate"]);
const AMOUNTS = new Set([...GROWING, "stddev", "variance"]);
const SHORT_WINDOW_NS = 10e9;
const DEFAULT_TOP = 6;
const MAX_TOP = 8;

/* What the page holds of one series: its last point and its last closed one. */
export interface LatestValue {
  window_start_ms: number;
  value: number | null;
  is_open: boolean;
  closed: [number, number | null] | null;
}

export class ChartPanel {
  readonly element: HTMLElement;
  readonly entry: ChartEntry;
  private readonly host = h("div", { class: "plot" });
  private readonly note = h("p", { class: "plot-note", hidden: true });
  private readonly value = h("span", { class: "chart-value" });
  private readonly scope = h("span", { class: "chart-scope" });
  private readonly legend: Legend;
  private readonly observer: ResizeObserver;
  private readonly stops: (() => void)[] = [];
  private readonly lowAt: number;
  private readonly highAt: number;
  private readonly fn: string;
  private readonly isGrowing: boolean;
  private plot: Plot | null = null;
  private data: PlotData = { times: new Float64Array(0), series: [], drawn: 0 };
  private pointer = { x: 0, y: 0 };
  private isHovered = false;
  private readonly painter = (): void => this.paint();
  private readonly valuePainter = (): void => this.paintValues();

  constructor(
    private readonly context: Context,
    private readonly stream: StreamSpec,
    readonly spec: ChartSpec,
  ) {
    const aggregates = this.aggregates();
    this.lowAt = spec.low ? aggregates.indexOf(spec.low) : -1;
    this.highAt = spec.high ? aggregates.indexOf(spec.high) : -1;
    this.fn = stream.aggregates.find((a) => a.name === spec.line)?.function ?? "";
    this.isGrowing = GROWING.has(this.fn) && stream.window_ns <= SHORT_WINDOW_NS;
    this.entry = context.feed.addChart(this.wish(), stream.window_ns, () => this.changed());
    this.legend = new Legend(
      {
        pick: (key) => key.length > 0 && toggleFocus(context, stream, key),
        point: (series) => this.plot?.emphasise(series),
      },
      `Series of ${spec.title}`,
    );
    const band =
      this.lowAt >= 0 && this.highAt >= 0 ? h("span", { class: "chart-band" }, bandLabel(spec.low!, spec.high!)) : null;
    this.element = h(
      "figure",
      {
        class: stream.keys.length > 0 ? "panel chart is-keyed" : "panel chart",
        "data-testid": `chart-${stream.name}-${spec.line}`,
        "aria-label": `${stream.title}: ${spec.title}`,
      },
      h(
        "figcaption",
        { class: "chart-head" },
        h("h3", {}, spec.title),
        spec.unit === "" ? null : h("span", { class: "chart-unit" }, spec.unit),
        band,
        this.scope,
        this.value,
      ),
      h("div", { class: "plot-box" }, this.host, this.note),
      this.legend.element,
    );
    this.observer = new ResizeObserver((entries) => {
      for (const { contentRect } of entries) this.plot?.resize(contentRect.width, contentRect.height);
    });
    this.stops.push(
      context.watch(this.element, (isVisible) => this.appear(isVisible)),
      context.cursor.listen((time) => this.follow(time)),
    );
    this.element.addEventListener("mousemove", (event) => {
      this.pointer = { x: event.clientX, y: event.clientY };
      if (this.isHovered) this.paintTooltip();
    });
  }

  destroy(): void {
    for (const stop of this.stops) stop();
    this.observer.disconnect();
    paintNever(this.painter);
    paintNever(this.valuePainter);
    this.plot?.destroy();
  }

  /* The range or the focus changed. */
  applyState(): void {
    this.context.feed.wishChart(this.entry, this.wish());
    this.repaint();
  }

  repaint(): void {
    if (this.entry.isVisible) paintSoon(this.painter);
  }

  /* Latest values for tests and the curious. */
  latest(): Record<string, LatestValue> {
    const ring = this.entry.ring;
    const times = ring.timeView();
    const last = times.length - 1;
    if (last < 0) return {};
    const closedAt = ring.isLastOpen ? last - 1 : last;
    const plain = (value: number): number | null => (Number.isNaN(value) ? null : value);
    return Object.fromEntries(
      ring.keys.map((key, s) => {
        const line = ring.valueView(s, 0);
        const closed: [number, number | null] | null = closedAt < 0 ? null : [times[closedAt]!, plain(line[closedAt]!)];
        return [
          keyText(key),
          { window_start_ms: times[last]!, value: plain(line[last]!), is_open: ring.isLastOpen, closed },
        ];
      }),
    );
  }

  /* The last points of one series, oldest first. */
  points(key: string, count: number): [number, number | null][] {
    const { ring } = this.entry;
    const series = ring.keys.findIndex((k) => keyText(k) === key);
    if (series < 0) return [];
    const times = ring.timeView();
    const line = ring.valueView(series, 0);
    const from = Math.max(0, times.length - count);
    return Array.from(times.subarray(from), (time, i) => [
      time,
      Number.isNaN(line[from + i]!) ? null : line[from + i]!,
    ]);
  }

  private aggregates(): string[] {
    return [
      ...new Set([this.spec.line, this.spec.low, this.spec.high].filter((name): name is string => Boolean(name))),
    ];
  }

  private wish(): ChartWish {
    const key = focusOf(this.context, this.stream) ?? this.spec.key ?? null;
    const wish: ChartWish = {
      stream: this.stream.name,
      aggregates: this.aggregates(),
      sort: this.spec.line,
      top: Math.min(MAX_TOP, this.spec.top ?? DEFAULT_TOP),
      range_s: this.context.view.rangeSeconds(this.stream.name),
    };
    return key === null || key.length === 0 ? wish : { ...wish, key };
  }

  private appear(isVisible: boolean): void {
    if (isVisible && this.plot === null) {
      this.plot = new Plot(this.host, {
        unit: this.spec.unit,
        stepMs: this.stream.window_ns / 1e6,
        isAmount: this.spec.unit !== "" || AMOUNTS.has(this.fn),
        syncKey: "event-time",
        label: `${this.spec.title}, chart over time. Its latest values are in the list below.`,
        palette: () => palette,
        onZoom: (range) => this.zoom(range),
        onCursor: (time) => this.point(time),
      });
      this.observer.observe(this.host);
    }
    this.context.feed.show(this.entry, isVisible);
    this.repaint();
  }

  private changed(): void {
    const { ring } = this.entry;
    const isMoved = ring.length > 0 && this.context.view.report(this.stream.name, this, ring.firstTime, ring.lastTime);
    if (isMoved) this.context.viewMoved();
    this.repaint();
  }

  private zoom(range: Range | null): void {
    const smallest = (this.stream.window_ns / 1e6) * 2;
    if (range === null) this.context.store.update({ zoom: null });
    else if (range.max - range.min >= smallest) this.context.store.update({ zoom: { from: range.min, to: range.max } });
  }

  private point(time: number | null): void {
    this.isHovered = time !== null;
    if (time === null) this.context.tooltip.hide();
    this.context.cursor.set(time);
  }

  private follow(time: number | null): void {
    if (!this.entry.isVisible) return;
    this.plot?.setCursor(time);
    paintSoon(this.valuePainter);
  }

  private collect(): PlotData {
    const { ring } = this.entry;
    const names = ring.keys.map(keyText);
    const slots = this.context.colours(this.stream.name).assign(names);
    const isPartial = ring.isLastOpen && this.isGrowing;
    return {
      times: ring.timeView(),
      drawn: Math.max(0, ring.length - (isPartial ? 1 : 0)),
      series: ring.keys.map((_, s) => ({
        colour: slots[s]!,
        line: ring.valueView(s, 0),
        low: this.lowAt < 0 ? null : ring.valueView(s, this.lowAt),
        high: this.highAt < 0 ? null : ring.valueView(s, this.highAt),
        scores: ring.scoreView(s),
      })),
    };
  }

  private paint(): void {
    if (this.plot === null) return;
    this.data = this.collect();
    const domain = this.context.view.domain(this.stream.name);
    if (domain !== null) this.plot.paint(this.data, domain);
    this.paintNote();
    this.paintValues();
    if (this.isHovered) this.paintTooltip();
  }

  private paintNote(): void {
    const isEmpty = this.data.drawn === 0 || this.data.series.length === 0;
    const focus = focusOf(this.context, this.stream);
    if (isEmpty)
      setText(
        this.note,
        focus === null ? "Waiting for the first window" : `Nothing of ${keyText(focus)} in this range`,
      );
    if (this.note.hidden === isEmpty) this.note.hidden = !isEmpty;
    setClass(this.element, "is-empty", isEmpty);
  }

  /* The point under the cursor, -1 where there is none; without a cursor the last one. */
  private index(): number {
    const { time } = this.context.cursor;
    if (time === null) return this.data.drawn - 1;
    const times = this.data.times;
    const before = Math.min(this.entry.ring.indexAt(time), this.data.drawn - 1);
    const after = before + 1;
    const isAfter = after < this.data.drawn && (before < 0 || times[after]! - time < time - times[before]!);
    const nearest = isAfter ? after : before;
    return nearest >= 0 && Math.abs(times[nearest]! - time) <= (this.plot?.reachMs() ?? 0) ? nearest : -1;
  }

  private paintValues(): void {
    const pointed = this.context.cursor.time === null ? null : this.index();
    const span = this.plot?.valueSpan;
    const items = this.data.series.map((series, i) => {
      const at = pointed ?? lastPresent(series.line, this.data.drawn);
      return {
        key: this.entry.ring.keys[i]!,
        colour: series.colour,
        value: formatted(series.line[at], this.spec.unit, span),
        isAnomaly: (series.scores?.[at] ?? 0) >= ANOMALY_SCORE,
      };
    });
    const isAlone = items.length <= 1;
    const only = items[0];
    const name = only === undefined ? "" : keyText(only.key);
    setText(this.scope, isAlone ? name : "");
    setAttribute(this.scope, "title", name);
    setText(this.value, isAlone && only !== undefined ? only.value : "");
    setClass(this.value, "is-anomaly", isAlone && only !== undefined && only.isAnomaly);
    setClass(this.value, "at-cursor", this.context.cursor.time !== null);
    this.legend.element.hidden = isAlone;
    if (!isAlone) this.legend.paint(items, this.context.cursor.time !== null);
  }

  private paintTooltip(): void {
    const at = this.index();
    if (at < 0) return this.context.tooltip.hide();
    const span = this.plot?.valueSpan;
    const rows = this.data.series.map((series, i): TooltipRow & { sort: number } => {
      const value = series.line[at] ?? NaN;
      const band =
        series.low && series.high
          ? [quantity(series.low[at], this.spec.unit, span), quantity(series.high[at], this.spec.unit, span)]
          : [];
      return {
        colour: `s${series.colour}`,
        label: keyText(this.entry.ring.keys[i]!) || this.spec.line,
        value: formatted(value, this.spec.unit, span),
        note: band.map(joined).join(" – "),
        isAnomaly: (series.scores?.[at] ?? 0) >= ANOMALY_SCORE,
        sort: Number.isNaN(value) ? -Infinity : value,
      };
    });
    rows.sort((a, b) => b.sort - a.sort);
    const time = this.data.times[at]!;
    const stepMs = this.stream.window_ns % 1e9 === 0 ? 1000 : 1;
    const isOpen = this.entry.ring.isLastOpen && at === this.data.times.length - 1;
    this.context.tooltip.show(
      `${moment(time, stepMs)} – ${clock(time + this.stream.window_ns / 1e6, stepMs)}${isOpen ? " (open)" : ""}`,
      rows,
      this.pointer,
    );
  }
}
