/* app.ts - Puts the page together and keeps its parts in step with the connection, the address and the keyboard. */
import { EventStore } from "../core/events";
import type { ColourSlots } from "../core/palette";
import { PYTHON_STREAM } from "../core/processes";
import type { EventMessage, Layout, ServerMessage, StreamSpec } from "../core/protocol";
import { Store } from "../core/store";
import { TimeView } from "../core/timeview";
import type { ViewState } from "../core/urlstate";
import { RANGES } from "../core/urlstate";
import type { LinkState } from "../live/connection";
import { Connection } from "../live/connection";
import { Feed } from "../live/feed";
import type { ChartPanel } from "./chart";
import type { Context } from "./context";
import { makeColours } from "./context";
import { TimeCursor } from "./cursor";
import { h, setClass } from "./dom";
import { EngineView } from "./engine";
import { EventLog } from "./eventlog";
import { paintSoon } from "./frames";
import { Help } from "./help";
import { Notice } from "./notice";
import { PythonView } from "./python";
import { Ribbon } from "./ribbon";
import { StreamSection } from "./section";
import { motion, onTheme, setTheme } from "./theme";
import { Tile } from "./tiles";
import { Toolbar } from "./toolbar";
import { Tooltip } from "./tooltip";
import { TopBar } from "./topbar";

const LONG_WINDOW_NS = 30e9; /* from here on five minutes show too little */
const SEEN_MARGIN = "160px 0px"; /* charts about to be scrolled into view are asked for already */
const PICK_MS = 2500;
const MIN_TILE_PX = 128;

export class App implements Context {
  readonly store = new Store(window);
  readonly view = new TimeView();
  readonly cursor = new TimeCursor();
  readonly events = new EventStore();
  readonly tooltip = new Tooltip();
  readonly connection = new Connection({
    state: (state) => this.linkChanged(state),
    layout: (layout) => this.takeLayout(layout),
    open: () => this.feed.reconnected(),
    message: (message) => this.take(message),
    frame: (frame) => this.feed.takeFrame(frame),
  });
  readonly feed: Feed = new Feed((message) => this.connection.send(message));
  private layout: Layout | null = null;
  private layoutText = "";
  private sections: StreamSection[] = [];
  private tiles: Tile[] = [];
  private ribbon: Ribbon | null = null;
  private colourSlots = new Map<string, ColourSlots>();
  private readonly seen = new Map<Element, (isVisible: boolean) => void>();
  private readonly observer = new IntersectionObserver((entries) => this.observed(entries), {
    rootMargin: SEEN_MARGIN,
  });
  private readonly help = new Help();
  private readonly topBar = new TopBar(this, () => this.help.toggle());
  private readonly toolbar = new Toolbar(this);
  private readonly notice = new Notice(
    () => this.connection.retryNow(),
    (token) => this.connection.useToken(token),
  );
  private readonly engine = new EngineView();
  readonly python = new PythonView(this, (path, parameters) => this.connection.get(path, parameters));
  private readonly log = new EventLog(this, (event) => this.showEvent(event));
  private readonly tileRow = h("div", { class: "tiles", role: "list", "aria-label": "Key figures" });
  private readonly body = h("div", { class: "streams" });
  private readonly main: HTMLElement;
  private readonly streamsView: HTMLElement;
  private readonly tileSizer = new ResizeObserver(() => this.arrangeTiles());
  private readonly repainter = (): void => this.repaintSections();
  statsCount = 0;

  constructor(root: HTMLElement) {
    this.streamsView = h(
      "div",
      { class: "view", id: "view-streams", role: "tabpanel", "aria-labelledby": "tab-streams" },
      h("div", { class: "column" }, this.tileRow, this.body),
      this.log.element,
    );
    this.main = h("main", {}, this.streamsView, this.python.element, this.engine.element);
    root.append(
      h("div", { class: "bars-top" }, this.topBar.element, this.toolbar.element),
      this.notice.element,
      this.main,
      this.help.element,
      this.tooltip.element,
    );
    this.store.listen((state, before) => this.stateChanged(state, before));
    onTheme(() => this.themeChanged());
    document.addEventListener("visibilitychange", () => this.feed.setHidden(document.hidden));
    document.addEventListener("keydown", (event) => this.pressed(event));
    this.adopt(this.store.state);
    this.tileSizer.observe(this.tileRow);
    this.log.repaint();
  }

  streams(): readonly StreamSpec[] {
    return this.layout?.streams ?? [];
  }

  charts(): readonly { stream: string; panel: ChartPanel }[] {
    return this.sections.flatMap((section) => section.charts.map((panel) => ({ stream: section.stream.name, panel })));
  }

  colours(stream: string): ColourSlots {
    let slots = this.colourSlots.get(stream);
    if (slots === undefined) this.colourSlots.set(stream, (slots = makeColours()));
    return slots;
  }

  watch(element: Element, seen: (isVisible: boolean) => void): () => void {
    this.seen.set(element, seen);
    this.observer.observe(element);
    return () => {
      this.observer.unobserve(element);
      this.seen.delete(element);
    };
  }

  viewMoved(): void {
    paintSoon(this.repainter);
  }

  private observed(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) this.seen.get(entry.target)?.(entry.isIntersecting);
  }

  private repaintSections(): void {
    for (const section of this.sections) section.repaint();
    this.ribbon?.repaint();
  }

  private linkChanged(state: LinkState): void {
    this.topBar.setLink(state);
    this.notice.set(state);
    setClass(this.main, "is-offline", state.kind === "waiting" || state.kind === "connecting");
    this.main.hidden = state.kind === "token";
    if (state.kind === "token") this.topBar.setStats(null);
  }

  /* The same engine again: nothing to do. Another engine with the same streams: only its data is new. */
  private takeLayout(layout: Layout): void {
    const isOtherEngine = layout.job.started_ns !== this.layout?.job.started_ns;
    const text = JSON.stringify(layout.streams);
    if (!isOtherEngine && text === this.layoutText) return;
    this.layout = layout;
    this.events.clear();
    this.engine.reset();
    this.topBar.setJob(layout.job.name, layout.job.sources);
    document.title = layout.job.name === "" ? "Sidewinder" : `${layout.job.name} · Sidewinder`;
    this.view.setStreams(layout.streams, layout.job.keep_windows);
    this.chooseRange();
    if (this.store.state.isPaused) this.view.freeze();
    if (text !== this.layoutText) this.build(layout);
    else this.feed.reset();
    this.layoutText = text;
    this.log.repaint();
    this.viewMoved();
  }

  private build(layout: Layout): void {
    for (const part of [...this.sections, ...this.tiles]) part.destroy();
    this.ribbon?.destroy();
    this.feed.removeAll();
    this.colourSlots.clear();
    this.tiles = layout.streams.flatMap((stream) => stream.tiles.map((spec) => new Tile(this, stream, spec)));
    this.sections = layout.streams.map((stream) => new StreamSection(this, stream));
    const chartsOf = (name: string): readonly ChartPanel[] =>
      this.sections.find((s) => s.stream.name === name)?.charts ?? [];
    this.ribbon = new Ribbon(this, layout.streams, chartsOf, (event) => {
      this.log.mark(event);
      this.showEvent(event);
    });
    this.toolbar.setStreams(layout.streams);
    this.tileRow.replaceChildren(...this.tiles.map((tile) => tile.element));
    this.tileRow.hidden = this.tiles.length === 0;
    this.arrangeTiles();
    const nothing = h("p", { class: "panel nothing" }, "This job has no streams to show.");
    this.body.replaceChildren(
      ...(layout.streams.length === 0 ? [nothing] : [this.ribbon.element, ...this.sections.map((s) => s.element)]),
    );
  }

  /* As many lines as needed, each with as many tiles as the others. */
  private arrangeTiles(): void {
    const fits = Math.max(2, Math.floor(this.tileRow.clientWidth / MIN_TILE_PX));
    const lines = Math.max(1, Math.ceil(this.tiles.length / fits));
    this.tileRow.style.setProperty("--columns", String(Math.max(1, Math.ceil(this.tiles.length / lines))));
  }

  private take(message: Exclude<ServerMessage, { type: "hello" }>): void {
    switch (message.type) {
      case "series":
        return this.feed.takeSeries(message);
      case "table":
        return this.feed.takeTable(message);
      case "event":
        if (!this.events.add(message)) return;
        this.log.repaint();
        return this.ribbon?.repaint();
      case "stats":
        this.statsCount++;
        this.engine.add(message);
        return this.topBar.setStats(message);
    }
  }

  private chooseRange(): void {
    const longest = Math.max(0, ...this.streams().map((stream) => stream.window_ns));
    this.view.range = this.store.state.range ?? (longest >= LONG_WINDOW_NS ? "all" : "5m");
  }

  /* What of the state lives elsewhere. */
  private adopt(state: ViewState): void {
    setTheme(state.theme, false);
    this.chooseRange();
    this.view.zoom = state.zoom === null ? null : { min: state.zoom.from, max: state.zoom.to };
    this.streamsView.hidden = state.tab !== "streams";
    this.engine.show(state.tab === "engine");
    this.python.applyState(state);
    if (state.isPaused) this.setPaused(true);
    this.topBar.applyState();
    this.toolbar.applyState();
  }

  private setPaused(isPaused: boolean): void {
    this.connection.isQuiet = isPaused;
    setClass(document.body, "is-paused", isPaused);
    if (isPaused) {
      this.view.freeze();
      this.feed.pause();
    } else {
      this.view.thaw();
      this.feed.resume();
    }
    this.topBar.setLink(this.connection.state);
  }

  private stateChanged(state: ViewState, before: ViewState): void {
    if (state.isPaused !== before.isPaused) this.setPaused(state.isPaused);
    if (state.theme !== before.theme) setTheme(state.theme, true);
    this.chooseRange();
    this.view.zoom = state.zoom === null ? null : { min: state.zoom.from, max: state.zoom.to };
    if (state.tab !== before.tab) {
      this.streamsView.hidden = state.tab !== "streams";
      this.engine.show(state.tab === "engine");
      window.scrollTo(0, 0);
    }
    if (state.process !== before.process) window.scrollTo(0, 0);
    this.python.applyState(state);
    this.topBar.applyState();
    this.toolbar.applyState();
    for (const section of this.sections) section.applyState();
    for (const tile of this.tiles) tile.applyState();
    this.log.repaint();
    this.viewMoved();
  }

  private themeChanged(): void {
    for (const { panel } of this.charts()) panel.repaint();
    for (const tile of this.tiles) tile.repaint();
    this.ribbon?.repaint();
    this.engine.redraw();
    this.python.redraw();
    this.topBar.applyState();
  }

  /* Brings an event's chart into view and its time under the cursor. */
  private showEvent(event: EventMessage): void {
    const section = this.sections.find((s) => s.stream.name === event.stream);
    const domain = section === undefined ? this.view.whole() : this.view.domain(section.stream.name);
    if (domain !== null && (event.time_ms < domain.min || event.time_ms > domain.max)) {
      const half = (domain.max - domain.min) / 2;
      this.store.update({ zoom: { from: event.time_ms - half, to: event.time_ms + half } });
    }
    if (section !== undefined) {
      section.open();
      const panel = section.charts.find((chart) => chart.spec.line === event.aggregate) ?? section.charts[0];
      panel?.element.scrollIntoView({ behavior: motion.matches ? "auto" : "smooth", block: "nearest" });
      panel?.element.classList.add("is-picked");
      window.setTimeout(() => panel?.element.classList.remove("is-picked"), PICK_MS);
    }
    this.cursor.set(null);
    paintSoon(() => this.cursor.set(event.time_ms));
  }

  private pressed(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || this.help.element.open) return;
    const target = event.target as HTMLElement;
    if (target instanceof HTMLInputElement) return;
    const isButton = target instanceof HTMLButtonElement;
    if (event.key === " " && isButton && !target.matches("[data-testid=pause]") && target.matches(":focus-visible"))
      return;
    if (this.act(event.key)) event.preventDefault();
  }

  private act(key: string): boolean {
    const { state } = this.store;
    const range = RANGES[Number(key) - 1];
    if (range !== undefined) this.store.update({ range, zoom: null });
    else if (key === " ") this.topBar.togglePause();
    else if (key === "t") this.topBar.cycleTheme();
    else if (key === "e") this.store.update({ tab: state.tab === "engine" ? "streams" : "engine", process: null });
    else if (key === "p" && this.streams().some((stream) => stream.name === PYTHON_STREAM))
      this.store.update({ tab: state.tab === "python" ? "streams" : "python", process: null });
    else if (key === "/") this.toolbar.focusFilter();
    else if (key === "?") this.help.toggle();
    else if (key === "Escape") this.clear();
    else return false;
    return true;
  }

  private clear(): void {
    this.cursor.set(null);
    this.tooltip.hide();
    const { tab, process, filter } = this.store.state;
    const isLeaving = tab === "python" && process !== null && filter === "" && !this.python.unzoom();
    this.store.update({ focus: null, zoom: null, filter: "", level: "all", process: isLeaving ? null : process });
  }
}
