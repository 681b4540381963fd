/* plot.ts - One time chart on uPlot: lines with honest gaps, bands behind them, anomaly marks, a cursor shared by time.
 *
 * uPlot keeps scales, axes, cursor and selection. Lines, bands and marks are drawn by strokes.ts, because absent values
 * are NaN in typed arrays here and uPlot's own paths would bridge them.
 */
import uPlot from "uplot";
import { axisLabels } from "../core/format";
import { lastPresent } from "../core/layout";
import type { Palette } from "../core/palette";
import { withAlpha } from "../core/palette";
import { ANOMALY_SCORE } from "../core/protocol";
import type { Range } from "../core/scale";
import { ticks, valueRange } from "../core/scale";
import type { TimeTicks } from "../core/time";
import { tickLabels, timeTicks } from "../core/time";
import type { View } from "./strokes";
import { bridgeGaps, dot, dotLonely, fillBand, markRuns, traceLine } from "./strokes";

export interface PlotSeries {
  colour: number; /* index into the palette's series colours */
  line: Float64Array;
  low: Float64Array | null;
  high: Float64Array | null;
  scores: Float32Array | null;
}

export interface PlotData {
  times: Float64Array;
  series: PlotSeries[];
  drawn: number; /* points; the last one is left out while it is only a part of its sum */
}

export interface PlotOptions {
  unit: string;
  isAmount: boolean; /* drawn from zero */
  stepMs: number; /* between points, where none is missing */
  syncKey: string;
  label: string;
  palette: () => Palette;
  onZoom(range: Range | null): void;
  onCursor(time: number | null): void;
}

const PADDING_PX = 8;
const AXIS_WIDTH = 46;
const AXIS_HEIGHT = 22;
const MINUTE_LABEL_PX = 52;
const SECOND_LABEL_PX = 72;
const MARK_PX = 5; /* a mark at the very top is not cut */
const THINNED_POINTS = 3900; /* of longer ranges the server leaves points out (it sends 4000 at most) */
const CROWD = 3; /* bands of more series would hide each other */
const CURSOR_REACH_PX = 6;
const MIN_DRAG_PX = 6;
const FONT =
  "11px -apple-system, BlinkMacSystemFont, 'Segoe UI', Inter, Roboto, 'Helvetica Neue', 'Liberation Sans', Arial";

const NONE: PlotData = { times: new Float64Array(0), series: [], drawn: 0 };

const isAnomalous = (series: PlotSeries, i: number): boolean =>
  series.scores !== null && series.scores[i]! >= ANOMALY_SCORE;

export class Plot {
  private u: uPlot;
  private data: PlotData = NONE;
  private xRange: Range = { min: 0, max: 1 };
  private yRange: Range | null = null;
  private emphasis: number | null = null;
  private isHovered = false;
  private size = {
    width: 60,
    height: 60,
  }; /* as observed: asking the page while painting would lay it out once a chart */

  constructor(
    private readonly host: HTMLElement,
    private readonly options: PlotOptions,
  ) {
    this.u = this.build(1);
  }

  get valueSpan(): number {
    return this.yRange === null ? 0 : this.yRange.max - this.yRange.min;
  }

  resize(width: number, height: number): void {
    if (width === this.size.width && height === this.size.height) return;
    this.size = { width: Math.max(60, width), height: Math.max(60, height) };
    this.u.setSize(this.size);
  }

  paint(data: PlotData, x: Range): void {
    const wanted = Math.max(1, data.series.length);
    if (this.u.series.length - 1 !== wanted) {
      this.u.destroy();
      this.u = this.build(wanted);
    }
    this.data = data;
    this.xRange = x;
    const empty = new Float64Array(data.times.length).fill(NaN);
    const columns = data.series.length > 0 ? data.series.map((s) => s.line) : [empty];
    this.u.batch(() => {
      this.u.setData([data.times, ...columns] as unknown as uPlot.AlignedData, false);
      this.u.setScale("x", x);
    });
  }

  /* Colours or emphasis changed. */
  redraw(): void {
    this.u.redraw(false, false);
  }

  emphasise(series: number | null): void {
    if (this.emphasis === series) return;
    this.emphasis = series;
    this.redraw();
  }

  /* From elsewhere: the ribbon, the event log. */
  setCursor(time: number | null): void {
    if (this.isHovered) return;
    const left = time === null ? -10 : this.u.valToPos(time, "x");
    const isInside = left >= 0 && left <= this.u.bbox.width / devicePixelRatio;
    this.u.setCursor({ left: isInside ? left : -10, top: isInside ? 0 : -10 }, false);
  }

  destroy(): void {
    this.u.destroy();
  }

  get over(): HTMLElement {
    return this.u.over;
  }

  private build(seriesCount: number): uPlot {
    const palette = this.options.palette;
    const axis = { font: FONT, stroke: () => palette().faint, ticks: { show: false }, border: { show: false } };
    const series = Array.from({ length: seriesCount }, (_, i): uPlot.Series => ({
      scale: "y",
      width: 1.5,
      cap: "round",
      stroke: () => this.strokeOf(i),
      points: { show: false },
      paths: (u, index) => this.linePath(u, index),
    }));
    const u = new uPlot(
      {
        ...this.size,
        padding: [PADDING_PX, PADDING_PX, 0, 0],
        legend: { show: false },
        cursor: {
          y: false,
          sync: { key: this.options.syncKey, scales: ["x", null], setSeries: false },
          drag: { x: true, y: false, setScale: false, dist: MIN_DRAG_PX },
          points: { size: 6, width: 1.5, fill: (_u, i) => this.strokeOf(i - 1), stroke: () => palette().panel },
          dataIdx: (self, i, index) =>
            i === 0 || this.isUnderCursor(self, i - 1, index) ? index : (null as unknown as number),
          bind: { dblclick: () => null },
        },
        scales: { x: { time: false }, y: { range: (self) => this.rangeOf(self) } },
        series: [{}, ...series],
        axes: [
          {
            ...axis,
            size: AXIS_HEIGHT,
            gap: 6,
            grid: { show: false },
            splits: (self) => this.timeTicks(self).at,
            values: (self) => tickLabels(this.timeTicks(self)),
          },
          {
            ...axis,
            scale: "y",
            size: AXIS_WIDTH,
            gap: 6,
            grid: { stroke: () => palette().grid, width: 1 },
            splits: (self, _i, min, max) => ticks({ min, max }, self.height / 44, this.options.unit),
            values: (_self, splits) => axisLabels(splits, this.options.unit),
          },
        ],
        hooks: {
          drawAxes: [(self) => this.drawBehind(self)],
          draw: [(self) => this.drawMarks(self)],
          setSelect: [(self) => this.takeSelection(self)],
          setCursor: [(self) => this.takeCursor(self)],
        },
      },
      [new Float64Array(0), ...series.map(() => new Float64Array(0))] as unknown as uPlot.AlignedData,
      this.host,
    );
    u.over.addEventListener("dblclick", () => this.options.onZoom(null));
    u.over.addEventListener("mouseenter", () => (this.isHovered = true));
    u.over.addEventListener("mouseleave", () => {
      this.isHovered = false;
      this.options.onCursor(null);
    });
    u.root.querySelector("canvas")?.setAttribute("role", "img");
    u.root.querySelector("canvas")?.setAttribute("aria-label", this.options.label);
    return u;
  }

  /* Nothing is marked where there is nothing: uPlot would take the nearest point, however far. */
  private isUnderCursor(u: uPlot, series: number, index: number): boolean {
    if (Number.isNaN(this.data.series[series]?.line[index] ?? NaN)) return false;
    const time = u.posToVal(u.cursor.left ?? -1, "x");
    return Math.abs(this.data.times[index]! - time) <= this.reachMs();
  }

  /* How far from a point the cursor may be to mean it. */
  reachMs(): number {
    const perPixel = (this.xRange.max - this.xRange.min) / Math.max(1, this.plotWidth(this.u));
    return Math.max(this.options.stepMs * 0.75, perPixel * CURSOR_REACH_PX);
  }

  private plotWidth(u: uPlot): number {
    return u.bbox.width / devicePixelRatio || u.width - AXIS_WIDTH;
  }

  private timeTicks(u: uPlot): TimeTicks {
    const { min, max } = u.scales["x"]!;
    if (min == null || max == null) return { stepMs: 1000, at: [] };
    const width = this.plotWidth(u);
    const coarse = timeTicks(min, max, Math.max(2, width / MINUTE_LABEL_PX));
    const ticks = coarse.stepMs >= 60e3 ? coarse : timeTicks(min, max, Math.max(2, width / SECOND_LABEL_PX));
    const half = (ticks.stepMs >= 60e3 ? MINUTE_LABEL_PX : SECOND_LABEL_PX) / 3 - PADDING_PX; /* of a label */
    return { stepMs: ticks.stepMs, at: ticks.at.filter((time) => ((max - time) / (max - min)) * width >= half) };
  }

  private colourOf(series: PlotSeries | undefined): string {
    const palette = this.options.palette();
    return palette.series[(series?.colour ?? 0) % palette.series.length]!;
  }

  private strokeOf(series: number): string {
    const colour = this.colourOf(this.data.series[series]);
    return this.emphasis === null || this.emphasis === series ? colour : withAlpha(colour, 0.22);
  }

  /* The points in view and one on each side. */
  private view(u: uPlot): View {
    const { times, drawn } = this.data;
    const { min, max } = this.xRange;
    const first = u.valToIdx(min);
    return {
      times,
      from: Math.max(0, (times[first] ?? 0) > min ? first - 1 : first),
      to: Math.min(drawn - 1, u.valToIdx(max) + 1),
      gapMs: times.length < THINNED_POINTS ? this.options.stepMs * 1.5 : Infinity,
      x: (time) => u.valToPos(time, "x", true),
      y: (value) => u.valToPos(value, "y", true),
    };
  }

  private rangeOf(u: uPlot): [number, number] {
    const { from, to } = this.view(u);
    let min = Infinity;
    let max = -Infinity;
    for (const series of this.data.series) {
      for (const column of [series.line, series.low, series.high]) {
        if (column === null) continue;
        for (let i = from; i <= to; i++) {
          const value = column[i]!;
          if (value < min) min = value;
          if (value > max) max = value;
        }
      }
    }
    this.yRange = valueRange(min, max, this.options.unit, this.yRange, this.options.isAmount);
    return [this.yRange.min, this.yRange.max];
  }

  private linePath(u: uPlot, index: number): uPlot.Series.Paths | null {
    const series = this.data.series[index - 1];
    if (series === undefined) return null;
    const stroke = new Path2D();
    traceLine(this.view(u), series.line, stroke);
    return { stroke, fill: null, clip: null, flags: 0 } as unknown as uPlot.Series.Paths;
  }

  private clipped(u: uPlot, draw: (context: CanvasRenderingContext2D) => void): void {
    const context = u.ctx;
    context.save();
    context.beginPath();
    const margin = MARK_PX * devicePixelRatio;
    context.rect(u.bbox.left, u.bbox.top - margin, u.bbox.width, u.bbox.height + margin);
    context.clip();
    draw(context);
    context.restore();
  }

  /* Bands of all where there are few, else of the one pointed at; an area under a line that is alone. */
  private drawBehind(u: uPlot): void {
    const view = this.view(u);
    const { series } = this.data;
    this.clipped(u, (ctx) => {
      ctx.fillStyle = withAlpha(this.options.palette().anomaly, 0.16);
      markRuns(ctx, view, (i) => series.some((one) => isAnomalous(one, i)));
      series.forEach((one, i) => {
        const isShown = this.emphasis === null ? series.length <= CROWD || i === 0 : i === this.emphasis;
        if (isShown) this.drawBand(u, ctx, view, one);
      });
      series.forEach((one, i) => bridgeGaps(ctx, view, one.line, this.strokeOf(i)));
    });
  }

  private drawBand(u: uPlot, ctx: CanvasRenderingContext2D, view: View, series: PlotSeries): void {
    const colour = this.colourOf(series);
    const isAlone = this.data.series.length === 1;
    if (series.low !== null && series.high !== null) {
      ctx.fillStyle = withAlpha(colour, isAlone || this.emphasis !== null ? 0.2 : 0.13);
      fillBand(ctx, view, series.low, series.high);
    } else if (isAlone && this.yRange?.min === 0) {
      const gradient = ctx.createLinearGradient(0, u.bbox.top, 0, u.bbox.top + u.bbox.height);
      gradient.addColorStop(0, withAlpha(colour, 0.2));
      gradient.addColorStop(1, withAlpha(colour, 0.02));
      ctx.fillStyle = gradient;
      fillBand(ctx, view, null, series.line);
    }
  }

  /* A ring around every anomalous point, and a dot where each line is now. */
  private drawMarks(u: uPlot): void {
    const view = this.view(u);
    const palette = this.options.palette();
    const { times, series } = this.data;
    this.clipped(u, (ctx) => {
      series.forEach((one, i) => dotLonely(ctx, view, one.line, this.strokeOf(i)));
      ctx.lineWidth = 1.5 * devicePixelRatio;
      ctx.strokeStyle = palette.anomaly;
      ctx.fillStyle = palette.panel;
      for (const one of series) {
        for (let i = view.from; i <= view.to; i++) {
          if (!isAnomalous(one, i) || Number.isNaN(one.line[i]!)) continue;
          dot(ctx, view.x(times[i]!), view.y(one.line[i]!), 3);
          ctx.stroke();
        }
      }
    });
    series.forEach((one, i) => {
      const last = lastPresent(one.line, this.data.drawn);
      if (last < 0 || times[last]! < this.xRange.min || times[last]! > this.xRange.max || isAnomalous(one, last))
        return;
      u.ctx.fillStyle = this.strokeOf(i);
      dot(u.ctx, view.x(times[last]!), view.y(one.line[last]!), 2.25);
    });
  }

  private takeSelection(u: uPlot): void {
    const { left, width } = u.select;
    if (width === 0) return;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (this.isHovered && width >= MIN_DRAG_PX) {
      this.options.onZoom({ min: u.posToVal(left, "x"), max: u.posToVal(left + width, "x") });
    }
  }

  private takeCursor(u: uPlot): void {
    if (!this.isHovered) return;
    const left = u.cursor.left ?? -1;
    this.options.onCursor(left < 0 ? null : u.posToVal(left, "x"));
  }
}
