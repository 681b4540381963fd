/* main.ts - Starts the dashboard, and leaves a handle for tests and the curious. */
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/bars.css";
import "./styles/panels.css";
import "./styles/engine.css";
import "./styles/python.css";
import { App } from "./ui/app";
import type { LatestValue } from "./ui/chart";

/* window.__sidewinder.state(): what the page shows now. Of each series of each chart the last point (`window_start_ms`,
 * `value`, `is_open`) and the last closed one (`closed`: its start and value), as charts[stream][aggregate][key]; the
 * parts of a key are joined by " · ". Only charts that were on screen have data. Where two charts of a stream draw the
 * same aggregate, the keys of both are there. points(): the last points of one series, each its window's start and
 * value. */
export interface Handle {
  state(): {
    connected: boolean;
    paused: boolean;
    stats_received: number;
    events: number;
    subscribed: number;
    held_bytes: number;
    charts: Record<string, Record<string, Record<string, LatestValue>>>;
  };
  points(stream: string, aggregate: string, key: string, count: number): [number, number | null][];
  /* The Python tab: the processes last heard of, and what the page of one shows. */
  python(): ReturnType<App["python"]["shown"]>;
}

declare global {
  interface Window {
    __sidewinder: Handle;
  }
}

const app = new App(document.getElementById("app")!);

window.__sidewinder = {
  state() {
    const charts: ReturnType<Handle["state"]>["charts"] = {};
    let subscribed = 0;
    let heldBytes = 0;
    for (const { stream, panel } of app.charts()) {
      const byLine = (charts[stream] ??= {});
      byLine[panel.spec.line] = { ...byLine[panel.spec.line], ...panel.latest() };
      if (panel.entry.isVisible) subscribed++;
      heldBytes += panel.entry.ring.bytes;
    }
    return {
      connected: app.connection.state.kind === "open",
      paused: app.store.state.isPaused,
      stats_received: app.statsCount,
      events: app.events.size,
      subscribed,
      held_bytes: heldBytes,
      charts,
    };
  },
  points(stream, aggregate, key, count) {
    for (const one of app.charts()) {
      const points = one.stream === stream && one.panel.spec.line === aggregate ? one.panel.points(key, count) : [];
      if (points.length > 0) return points;
    }
    return [];
  },
  python() {
    return app.python.shown();
  },
};

app.connection.start();
