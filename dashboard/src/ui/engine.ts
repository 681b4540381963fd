/* engine.ts - The engine seen by itself: threads, rings, stages, counters, memory, and their last ten minutes. */
import { count, duration, formatted, isReplay, joined } from "../core/format";
import { History } from "../core/history";
import type { RingStats, StageStats, StatsMessage, ThreadStats } from "../core/protocol";
import { moment } from "../core/time";
import type { Size } from "./dom";
import { arrange, h, setAttribute, setClass, setText } from "./dom";
import { paintSoon } from "./frames";
import type { PlotData } from "./plot";
import { Plot } from "./plot";
import { palette } from "./theme";

const SAMPLES = 1200; /* ten minutes, twice a second */
const WINDOW_MS = 600e3;

const NAMES = ["events", "bytes", "batches", "lag", "p50", "p99", "rss"] as const;
type Name = (typeof NAMES)[number];

interface ChartPlan {
  title: string;
  unit: string;
  line: Name;
  low?: Name;
  high?: Name;
  colour: number;
}

const CHARTS: readonly ChartPlan[] = [
  { title: "Events", unit: "/s", line: "events", colour: 0 },
  { title: "Latency to view, p50 – p99", unit: "ms", line: "p99", low: "p50", high: "p99", colour: 1 },
  { title: "Watermark lag", unit: "ms", line: "lag", colour: 3 },
  { title: "Input", unit: "bytes/s", line: "bytes", colour: 2 },
  { title: "Batches", unit: "/s", line: "batches", colour: 6 },
  { title: "Resident memory", unit: "bytes", line: "rss", colour: 4 },
];

interface BarRow {
  root: HTMLElement;
  name: HTMLElement;
  note: HTMLElement;
  value: HTMLElement;
  fill: HTMLElement;
}

/* A list of names with bars, filled from 0 to 1. */
class Bars {
  readonly element: HTMLElement;
  private rows: BarRow[] = [];
  private readonly list = h("ul", { class: "bars" });
  private readonly empty: HTMLElement;

  constructor(title: string, hint: string, testId: string, nothing: string) {
    this.empty = h("p", { class: "muted" }, nothing);
    this.element = h(
      "section",
      { class: "panel card", "aria-label": title, "data-testid": testId },
      h("h3", {}, title, h("span", {}, hint)),
      this.list,
      this.empty,
    );
  }

  set(items: readonly { name: string; note: string; value: string; fill: number | null; isHot: boolean }[]): void {
    while (this.rows.length < items.length) this.rows.push(this.make());
    items.forEach((item, i) => {
      const row = this.rows[i]!;
      setText(row.name, item.name);
      setText(row.note, item.note);
      setText(row.value, item.value);
      row.fill.style.transform = `scaleX(${Math.min(1, Math.max(0, item.fill ?? 0)).toFixed(3)})`;
      setClass(row.root, "is-hot", item.isHot);
    });
    arrange(
      this.list,
      this.rows.slice(0, items.length).map((row) => row.root),
    );
    this.empty.hidden = items.length > 0;
  }

  private make(): BarRow {
    const [name, note, value, fill] = [h("span", { class: "name" }), h("span", { class: "note" }), h("b"), h("i")];
    return {
      root: h("li", {}, name, note, h("span", { class: "track", "aria-hidden": "true" }, fill), value),
      name,
      note,
      value,
      fill,
    };
  }
}

class EngineChart {
  readonly element: HTMLElement;
  private readonly host = h("div", { class: "plot" });
  private readonly value = h("span", { class: "chart-value" });
  private readonly note = h("p", { class: "plot-note" }, "Nothing measured");
  private plot: Plot | null = null;
  private size: Size = { width: 0, height: 0 };

  constructor(
    private readonly plan: ChartPlan,
    private readonly history: History<Name>,
  ) {
    this.element = h(
      "figure",
      { class: "panel chart w2", "aria-label": plan.title, "data-testid": `engine-${plan.line}` },
      h(
        "figcaption",
        { class: "chart-head" },
        h("h3", {}, plan.title),
        h("span", { class: "chart-unit" }, plan.unit),
        this.value,
      ),
      h("div", { class: "plot-box" }, this.host, this.note),
    );
    new ResizeObserver((entries) => {
      for (const { contentRect } of entries) this.resize(contentRect);
    }).observe(this.host);
  }

  paint(cursor: number | null, onCursor: (time: number | null) => void): void {
    const { plan, history } = this;
    this.plot ??= new Plot(this.host, {
      unit: plan.unit,
      isAmount: true,
      stepMs: 2000 /* two a second, but a busy engine may skip some */,
      syncKey: "engine-time",
      label: `${plan.title}, last ten minutes`,
      palette: () => palette,
      onZoom: () => undefined,
      onCursor,
    });
    this.resize(this.size);
    const times = history.timeView();
    const line = history.view(plan.line);
    const data: PlotData = {
      times,
      drawn: times.length,
      series: [
        {
          colour: plan.colour,
          line,
          low: plan.low ? history.view(plan.low) : null,
          high: plan.high ? history.view(plan.high) : null,
          scores: null,
        },
      ],
    };
    const last = times[times.length - 1] ?? 0;
    if (times.length > 0)
      this.plot.paint(data, { min: Math.max(last - WINDOW_MS, Math.min(times[0]!, last - 60e3)), max: last });
    this.note.hidden = line.some((value) => !Number.isNaN(value));
    const at = cursor === null ? -1 : times.findIndex((time) => time >= cursor);
    setText(this.value, formatted(line[at < 0 ? times.length - 1 : at], plan.unit));
    setClass(this.value, "at-cursor", cursor !== null);
  }

  redraw(): void {
    this.plot?.redraw();
  }

  private resize(size: Size): void {
    if (size.width === 0) return;
    this.size = size;
    this.plot?.resize(size.width, size.height);
  }
}

export class EngineView {
  readonly element: HTMLElement;
  private readonly history = new History(NAMES, SAMPLES);
  private readonly charts = CHARTS.map((plan) => new EngineChart(plan, this.history));
  private readonly threads = new Bars("Threads", "share of one core", "engine-threads", "No threads reported");
  private readonly rings = new Bars(
    "Rings",
    "batches waiting",
    "engine-rings",
    "No rings: everything runs in one thread",
  );
  private readonly stages = new Bars(
    "Stages",
    "share of the work · p50 / p99 a batch",
    "engine-stages",
    "No stage times yet",
  );
  private readonly counters = h("dl", { class: "counters" });
  private readonly values = new Map<string, HTMLElement>();
  private stats: StatsMessage | null = null;
  private cursor: number | null = null;
  private isShown = false;
  private readonly painter = (): void => this.paint();

  constructor() {
    const counters = h(
      "section",
      { class: "panel card", "aria-label": "Counters", "data-testid": "engine-counters" },
      h("h3", {}, "Counters", h("span", {}, "since the start")),
      this.counters,
    );
    this.element = h(
      "div",
      { class: "engine", id: "view-engine", role: "tabpanel", "aria-labelledby": "tab-engine", hidden: true },
      h("div", { class: "cards" }, this.threads.element, this.rings.element, this.stages.element, counters),
      h("div", { class: "grid" }, ...this.charts.map((chart) => chart.element)),
    );
  }

  add(stats: StatsMessage): void {
    this.stats = stats;
    const number = (value: number | null | undefined): number => value ?? NaN;
    this.history.add(stats.now_ms, {
      events: number(stats.events_per_s),
      bytes: number(stats.bytes_per_s),
      batches: number(stats.batches_per_s),
      lag: isReplay(stats.watermark_lag_ms) ? NaN : number(stats.watermark_lag_ms),
      p50: number(stats.latency_p50_ms),
      p99: number(stats.latency_p99_ms),
      rss: number(stats.rss_bytes),
    });
    if (this.isShown) paintSoon(this.painter);
  }

  reset(): void {
    this.history.clear();
  }

  show(isShown: boolean): void {
    this.isShown = isShown;
    this.element.hidden = !isShown;
    if (isShown) paintSoon(this.painter);
  }

  redraw(): void {
    if (this.isShown) for (const chart of this.charts) chart.redraw();
  }

  private paint(): void {
    if (!this.isShown) return;
    const follow = (time: number | null): void => {
      this.cursor = time;
      paintSoon(this.painter);
    };
    for (const chart of this.charts) chart.paint(this.cursor, follow);
    if (this.stats === null) return;
    this.threads.set((this.stats.threads ?? []).map(threadBar));
    this.rings.set((this.stats.rings ?? []).map(ringBar));
    this.stages.set((this.stats.stages ?? []).map(stageBar));
    this.paintCounters(this.stats);
  }

  private paintCounters(stats: StatsMessage): void {
    const rows: [string, string, string][] = [
      ["Events", count(stats.events_total), ""],
      ["Windows closed", count(stats.windows_closed), ""],
      ["Keys", count(stats.keys), ""],
      ["Anomalies", count(stats.anomalies), ""],
      ["Late", count(stats.late), stats.late > 0 ? "warn" : ""],
      ["Malformed", count(stats.malformed), stats.malformed > 0 ? "warn" : ""],
      ["Rejected", count(stats.rejected), stats.rejected > 0 ? "warn" : ""],
      ["Views dropped", count(stats.views_dropped), ""],
      ["Clients", count(stats.clients), ""],
      ["Memory", formatted(stats.rss_bytes, "bytes"), ""],
      ["Input", formatted(stats.bytes_per_s, "bytes/s"), ""],
      ["Watermark", stats.watermark_ms === null ? "–" : moment(stats.watermark_ms), ""],
    ];
    for (const [name, value, level] of rows) {
      let element = this.values.get(name);
      if (element === undefined) {
        element = h("dd");
        this.values.set(name, element);
        this.counters.append(h("div", {}, h("dt", {}, name), element));
      }
      setText(element, value);
      setAttribute(element, "class", level);
    }
  }
}

const threadBar = (thread: ThreadStats) => ({
  name: thread.name,
  note: thread.role,
  value: formatted(thread.cpu_percent, "%"),
  fill: (thread.cpu_percent ?? 0) / 100,
  isHot: (thread.cpu_percent ?? 0) > 90,
});

const ringBar = (ring: RingStats) => ({
  name: ring.name,
  note: "",
  value: `${count(ring.depth)} / ${count(ring.capacity)}`,
  fill: ring.capacity > 0 ? ring.depth / ring.capacity : 0,
  isHot: ring.depth > ring.capacity * 0.8,
});

/* Nothing takes no time: it was not measured. */
const micros = (us: number | null): string => (us === null || us === 0 ? "–" : joined(duration(us / 1000)));

const stageBar = (stage: StageStats) => ({
  name: stage.name,
  note: `${micros(stage.p50_us)} / ${micros(stage.p99_us)}`,
  value: formatted(stage.share_percent, "%"),
  fill: (stage.share_percent ?? 0) / 100,
  isHot: false,
});
