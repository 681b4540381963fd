/* eventlog.ts - What happened: anomalies, warnings, news. A click moves the cursor to its time. */
import { matchesText } from "../core/events";
import type { EventMessage, Level, StreamSpec } from "../core/protocol";
import { keyText } from "../core/protocol";
import { clock, day, isClockOnly } from "../core/time";
import { LEVELS } from "../core/urlstate";
import type { Context } from "./context";
import { focusOf } from "./context";
import { arrange, h, setAttribute, setClass, setText } from "./dom";
import { paintSoon } from "./frames";

const SHOWN = 200;

const NAMES: Record<Level | "all", string> = { all: "All", anomaly: "Anomalies", warn: "Warnings", info: "Info" };

interface Row {
  root: HTMLElement;
  time: HTMLElement;
  text: HTMLElement;
  meta: HTMLElement;
  event: EventMessage | null;
}

export class EventLog {
  readonly element: HTMLElement;
  private readonly list = h("ol", { class: "event-list", "data-testid": "event-list" });
  private readonly empty = h("p", { class: "event-empty" });
  private readonly levels = new Map<Level | "all", { button: HTMLButtonElement; count: HTMLElement }>();
  private rows = new Map<number, Row>();
  private picked: number | null = null;
  private readonly painter = (): void => this.paint();

  constructor(
    private readonly context: Context,
    private readonly onPick: (event: EventMessage) => void,
  ) {
    const group = h("div", { class: "level-filter", role: "group", "aria-label": "Level" });
    for (const level of ["all", ...LEVELS] as const) {
      const count = h("span", { class: "count" });
      const button = h(
        "button",
        { type: "button", class: `level-${level}`, onclick: () => context.store.update({ level }) },
        NAMES[level],
        count,
      );
      this.levels.set(level, { button, count });
      group.append(button);
    }
    this.element = h(
      "aside",
      { class: "panel events", "data-testid": "events", "aria-label": "Event log" },
      h("div", { class: "event-head" }, h("h2", {}, "Events"), group),
      h(
        "div",
        { class: "event-scroll", tabindex: 0, role: "region", "aria-label": "Events, newest first" },
        this.empty,
        this.list,
      ),
    );
  }

  repaint(): void {
    paintSoon(this.painter);
  }

  mark(event: EventMessage): void {
    this.picked = event.id;
    this.repaint();
    paintSoon(() => {
      const row = this.rows.get(event.id);
      const scroll = this.list.parentElement!;
      if (row !== undefined) scroll.scrollTop = row.root.offsetTop - scroll.clientHeight / 3;
    });
  }

  private isShown(event: EventMessage): boolean {
    const { filter, focus } = this.context.store.state;
    if (!matchesText(event, filter.trim())) return false;
    if (focus === null || event.stream === undefined) return true;
    const stream = this.context.streams().find((s: StreamSpec) => s.name === event.stream);
    const narrowed = stream === undefined ? null : focusOf(this.context, stream);
    return narrowed === null || keyText(narrowed) === keyText(event.key ?? []);
  }

  private paint(): void {
    const { state } = this.context.store;
    const isShown = (event: EventMessage): boolean => this.isShown(event);
    const counts = this.context.events.counts(isShown);
    for (const [level, { button, count }] of this.levels) {
      setAttribute(button, "aria-pressed", String(state.level === level));
      setText(count, counts[level] === 0 ? "" : String(counts[level]));
    }
    const events = this.context.events.select(
      (event) => (state.level === "all" || event.level === state.level) && isShown(event),
      SHOWN,
    );
    const rows = new Map<number, Row>();
    for (const event of events) {
      const row = this.rows.get(event.id) ?? this.makeRow(event);
      setClass(row.root, "is-picked", this.picked === event.id);
      rows.set(event.id, row);
    }
    this.rows = rows;
    arrange(
      this.list,
      [...rows.values()].map((row) => row.root),
    );
    this.empty.hidden = events.length > 0;
    setText(this.empty, this.context.events.size === 0 ? "Nothing unusual so far." : "No event matches the filter.");
  }

  private makeRow(event: EventMessage): Row {
    const date = isClockOnly(event.time_ms) || day(event.time_ms) === day(Date.now()) ? "" : `${day(event.time_ms)} `;
    const time = h("time", { title: date + clock(event.time_ms, 1) }, clock(event.time_ms));
    const text = h("span", { class: "event-text" }, event.text);
    const stream = this.context.streams().find((s) => s.name === event.stream);
    const meta = h(
      "span",
      { class: "event-meta" },
      [event.level, stream?.title ?? event.stream].filter(Boolean).join(" · "),
    );
    const button = h(
      "button",
      { type: "button", onclick: () => this.pick(event) },
      h("i", { class: "mark", "aria-hidden": "true" }),
      time,
      text,
      meta,
    );
    return { root: h("li", { class: `event-${event.level}` }, button), time, text, meta, event };
  }

  private pick(event: EventMessage): void {
    this.picked = event.id;
    this.repaint();
    this.onPick(event);
  }
}
