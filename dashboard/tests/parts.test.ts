/* parts.test.ts - Small pure parts: retry delays, event log, history, order of tables, widths of panels. */
import { describe, expect, it } from "vitest";
import { EventStore, matchesText, MAX_EVENTS } from "../src/core/events";
import { History } from "../src/core/history";
import { bandLabel, cellText, fitBytes, lastPresent, ordered, spans } from "../src/core/layout";
import type { EventMessage } from "../src/core/protocol";
import { retryDelay } from "../src/live/connection";

const event = (id: number, over: Partial<EventMessage> = {}): EventMessage => ({
  type: "event",
  id,
  time_ms: id,
  level: "anomaly",
  text: `event ${id}`,
  ...over,
});

describe("retryDelay", () => {
  it("doubles from a quarter of a second to five seconds", () => {
    const delays = [1, 2, 3, 4, 5, 6, 50].map((n) => retryDelay(n, () => 0.5));
    expect(delays).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
  });

  it("stays within its limits whatever chance says", () => {
    for (const chance of [0, 0.999]) {
      for (let n = 1; n < 60; n++) {
        expect(retryDelay(n, () => chance)).toBeGreaterThanOrEqual(250);
        expect(retryDelay(n, () => chance)).toBeLessThanOrEqual(5000);
      }
    }
  });
});

describe("EventStore", () => {
  it("takes an event once", () => {
    const store = new EventStore();
    expect(store.add(event(1))).toBe(true);
    expect(store.add(event(1))).toBe(false);
    expect(store.size).toBe(1);
  });

  it("keeps the last thousand", () => {
    const store = new EventStore();
    for (let i = 0; i < MAX_EVENTS + 10; i++) store.add(event(i));
    expect(store.size).toBe(MAX_EVENTS);
    expect(store.select(() => true, 2).map((e) => e.id)).toEqual([MAX_EVENTS + 9, MAX_EVENTS + 8]);
  });

  it("counts by level what matches", () => {
    const store = new EventStore();
    store.add(event(1));
    store.add(event(2, { level: "warn" }));
    store.add(event(3, { level: "info" }));
    expect(store.counts((e) => e.id > 1)).toEqual({ all: 2, anomaly: 0, warn: 1, info: 1 });
  });

  it("matches text, stream and key without regard to case", () => {
    const one = event(1, { stream: "cpu", key: ["Core 7"] });
    expect(["EVENT", "cpu", "core 7", ""].every((needle) => matchesText(one, needle))).toBe(true);
    expect(matchesText(one, "disk")).toBe(false);
  });
});

describe("History", () => {
  it("holds the last samples in order", () => {
    const history = new History(["a"], 10);
    for (let i = 0; i < 1000; i++) history.add(i, { a: i * 2 });
    expect([...history.timeView()]).toEqual([990, 991, 992, 993, 994, 995, 996, 997, 998, 999]);
    expect(history.view("a")[9]).toBe(1998);
  });

  it("starts anew when the clock goes back", () => {
    const history = new History(["a"], 10);
    history.add(5, { a: 1 });
    history.add(3, { a: 2 });
    expect([...history.timeView()]).toEqual([3]);
  });
});

describe("tables", () => {
  const rows = ["10", "9", "all"].map((key) => ({ key: [key], values: [1], scores: [0] }));

  it("sort a key column as people do, and leave the engine's order alone", () => {
    expect(ordered(rows, 0, false).map((r) => r.key[0])).toEqual(["9", "10", "all"]);
    expect(ordered(rows, 0, true).map((r) => r.key[0])).toEqual(["all", "10", "9"]);
    expect(ordered(rows, -1, true).map((r) => r.key[0])).toEqual(["10", "9", "all"]);
  });

  it("show numbers, text, and what is absent", () => {
    expect(cellText(null, "%")).toBe("–");
    expect(cellText("@F 12", "")).toBe("@F 12");
    expect(cellText(3, "")).toBe("3");
    expect(cellText([["a", 1]], "")).toBe('[["a",1]]');
  });
});

describe("spans", () => {
  it("fill every row", () => {
    for (let n = 1; n < 30; n++) {
      let used = 0;
      for (const width of spans(n)) {
        expect(used + width, String(n)).toBeLessThanOrEqual(6);
        used = (used + width) % 6;
      }
      expect(used, String(n)).toBe(0);
    }
  });
});

describe("bandLabel", () => {
  it("names the edges by what differs", () => {
    expect(bandLabel("busy_p50", "busy_p99")).toBe("p50 – p99");
    expect(bandLabel("low", "high")).toBe("low – high");
    expect(bandLabel("price_low", "price_high")).toBe("low – high");
    expect(bandLabel("a_p5", "a_p50")).toBe("p5 – p50");
  });
});

it("fitBytes cuts between characters", () => {
  expect(fitBytes("abc", 3)).toBe("abc");
  expect(fitBytes("abcd", 3)).toBe("abc");
  expect(fitBytes("äöü", 5)).toBe("äö");
  expect(fitBytes("😀😀", 7)).toBe("😀");
  expect(fitBytes("x".repeat(1e6), 60)).toHaveLength(60);
});

it("lastPresent passes over what is absent", () => {
  const values = Float64Array.of(1, 2, NaN, 4);
  expect([4, 3, 2, 0].map((count) => lastPresent(values, count))).toEqual([3, 1, 1, -1]);
});
