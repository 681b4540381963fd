/* topbar.ts - Name, live or paused, range, the engine's health in five figures, theme and help. */
import { count, duration, isReplay, quantity } from "../core/format";
import type { Quantity } from "../core/format";
import type { StatsMessage } from "../core/protocol";
import type { RangeName, Theme } from "../core/urlstate";
import { RANGES } from "../core/urlstate";
import type { LinkState } from "../live/connection";
import type { Context } from "./context";
import { h, icon, setAttribute, setClass, setText } from "./dom";
import { motion, palette, remembered } from "./theme";

const RANGE_TITLES: Record<RangeName, string> = {
  "1m": "Last minute (1)",
  "5m": "Last 5 minutes (2)",
  "15m": "Last 15 minutes (3)",
  all: "Everything that is kept (4)",
};

const THEMES: readonly Theme[] = ["dark", "light", "auto"];

class Figure {
  private readonly value = h("b");
  private readonly unit = h("span", { class: "unit" });
  readonly element: HTMLElement;

  constructor(label: string, title: string, testId: string) {
    this.element = h(
      "div",
      { class: "figure", title },
      h("dt", {}, label),
      h("dd", { "data-testid": testId }, this.value, this.unit),
    );
  }

  set(shown: Quantity, isWarning: boolean): void {
    setText(this.value, shown.text);
    setText(this.unit, shown.unit === "" ? "" : `\u202f${shown.unit}`);
    setClass(this.element, "is-warning", isWarning);
  }
}

export class TopBar {
  readonly element: HTMLElement;
  private readonly job = h("span", { class: "job" });
  private readonly pauseLabel = h("span", {}, "Pause");
  private readonly pauseButton: HTMLButtonElement;
  private readonly ranges = new Map<RangeName, HTMLButtonElement>();
  private readonly link = h("span", {
    class: "connection",
    "data-testid": "connection",
    role: "status",
    "aria-live": "polite",
  });
  private readonly linkText = h("span", { class: "connection-text" }, "Connecting");
  private readonly themeButton: HTMLButtonElement;
  private readonly events = new Figure("Events", "Events a second, all sources", "events-per-s");
  private readonly lag = new Figure("Lag", "Watermark lag: how far the results are behind the clock", "watermark-lag");
  private readonly late = new Figure("Late", "Rows that came after their window was closed", "late");
  private readonly malformed = new Figure("Malformed", "Rows that could not be read", "malformed");
  private readonly latency = new Figure(
    "p99",
    "99 of 100 events were in this page's data within this time, last 10 s",
    "latency-p99",
  );

  constructor(
    private readonly context: Context,
    onHelp: () => void,
  ) {
    this.pauseButton = h(
      "button",
      {
        type: "button",
        class: "pause",
        "data-testid": "pause",
        title: "Pause (space)",
        onclick: () => this.togglePause(),
      },
      icon("M5.5 4v8M10.5 4v8"),
      icon("M5.5 3.5v9l7-4.5z"),
      this.pauseLabel,
    );
    this.themeButton = h(
      "button",
      { type: "button", class: "square", "data-testid": "theme", onclick: () => this.cycleTheme() },
      icon("M8 2.5a5.5 5.5 0 1 0 0 11z", "M8 2.5a5.5 5.5 0 1 1 0 11"),
    );
    this.link.append(h("i", { class: "dot", "aria-hidden": "true" }), this.linkText);
    const group = h("div", { class: "segmented", role: "group", "aria-label": "Time range" });
    for (const range of RANGES) {
      const button = h(
        "button",
        { type: "button", title: RANGE_TITLES[range], onclick: () => context.store.update({ range, zoom: null }) },
        range,
      );
      this.ranges.set(range, button);
      group.append(button);
    }
    const help = h(
      "button",
      {
        type: "button",
        class: "square",
        title: "Keyboard shortcuts (?)",
        "aria-label": "Keyboard shortcuts",
        "data-testid": "help",
        onclick: onHelp,
      },
      "?",
    );
    const figures = [this.events, this.lag, this.late, this.malformed, this.latency];
    this.element = h(
      "header",
      { class: "topbar" },
      h(
        "div",
        { class: "brand" },
        icon("M1.5 12c3 0 3.2-3.6 6.4-3.6S11.4 4.5 14.5 4.5"),
        h("h1", {}, "Sidewinder"),
        this.job,
      ),
      h("div", { class: "controls" }, this.pauseButton, group),
      h("dl", { class: "figures", "aria-label": "Engine" }, ...figures.map((figure) => figure.element)),
      h("div", { class: "tools" }, this.link, this.themeButton, help),
    );
    this.setStats(null);
    this.applyState();
  }

  setJob(name: string, sources: readonly string[]): void {
    setText(this.job, name);
    setAttribute(this.job, "title", sources.join("\n"));
  }

  setStats(stats: StatsMessage | null): void {
    const absent: Quantity = { text: "–", unit: "" };
    const lag = stats?.watermark_lag_ms ?? null;
    const whole = (value: number | undefined): Quantity =>
      value === undefined ? absent : { text: count(value), unit: "" };
    this.events.set(stats === null ? absent : quantity(Math.round(stats.events_per_s), "/s"), false);
    this.lag.set(
      lag === null ? absent : isReplay(lag) ? { text: "replay", unit: "" } : duration(Math.max(0, Math.round(lag))),
      false,
    );
    this.late.set(whole(stats?.late), (stats?.late ?? 0) > 0);
    this.malformed.set(whole(stats?.malformed), (stats?.malformed ?? 0) > 0);
    const p99 = stats?.latency_p99_ms ?? null;
    this.latency.set(p99 === null ? absent : duration(p99), p99 !== null && p99 > 1000);
  }

  setLink(state: LinkState): void {
    const { isPaused } = this.context.store.state;
    const texts = {
      connecting: "Connecting",
      open: isPaused ? "Paused" : "Live",
      waiting: "Reconnecting",
      token: "Token needed",
    };
    setText(this.linkText, texts[state.kind]);
    setAttribute(this.link, "data-state", state.kind === "open" && isPaused ? "paused" : state.kind);
    setClass(this.link, "is-still", motion.matches);
  }

  applyState(): void {
    const { state } = this.context.store;
    setText(this.pauseLabel, state.isPaused ? "Resume" : "Pause");
    setAttribute(this.pauseButton, "aria-pressed", String(state.isPaused));
    setAttribute(this.pauseButton, "title", state.isPaused ? "Resume (space)" : "Pause (space)");
    for (const [range, button] of this.ranges)
      setAttribute(button, "aria-pressed", String(range === this.context.view.range));
    const theme = state.theme ?? remembered();
    const text = `Theme: ${theme}${theme === "auto" ? ` (${palette.name})` : ""}. Change (t)`;
    setAttribute(this.themeButton, "title", text);
    setAttribute(this.themeButton, "aria-label", text);
    setAttribute(this.themeButton, "data-theme-choice", theme);
  }

  togglePause(): void {
    this.context.store.update({ isPaused: !this.context.store.state.isPaused });
  }

  cycleTheme(): void {
    const now = this.context.store.state.theme ?? remembered();
    this.context.store.update({ theme: THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]! });
  }
}
