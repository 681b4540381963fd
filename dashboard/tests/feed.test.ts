/* feed.test.ts - Subscriptions: what is on screen, in one message, with ids that cannot be mixed up; pause, reconnect. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decodeFrame } from "../src/core/protocol";
import type { ChartWish } from "../src/live/feed";
import { Feed } from "../src/live/feed";
import { makeFrame } from "./frame";

interface Sent {
  type: string;
  charts?: { id: number; stream: string; key?: string[] }[];
  tables?: { id: number }[];
}

let sent: Sent[];
let feed: Feed;
let isOpen: boolean;

const wish = (over: Partial<ChartWish> = {}): ChartWish => ({
  stream: "cpu",
  aggregates: ["busy"],
  top: 6,
  range_s: 60,
  ...over,
});
const add = (over: Partial<ChartWish> = {}) => feed.addChart(wish(over), 1e9, () => undefined);
const frame = (chart: number, times: number[], flags = 0) =>
  decodeFrame(makeFrame({ chart, flags, times, values: [[times.map((t) => t)]], scores: [times.map(() => 0)] }))!;
const last = (): Sent => sent[sent.length - 1]!;
const flush = (): void => void vi.advanceTimersByTime(100);
const answer = (id: number, times: number[]): void => {
  feed.takeSeries({ type: "series", chart: id, keys: [["all"]] });
  feed.takeFrame(frame(id, times, 1));
};

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
  sent = [];
  isOpen = true;
  feed = new Feed((message) => {
    if (isOpen) sent.push(message as Sent);
    return isOpen;
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("Feed", () => {
  it("asks only for what is on screen, once", () => {
    const a = add();
    const b = add({ stream: "disk" });
    feed.show(a, true);
    feed.show(b, true);
    flush();
    expect(sent).toHaveLength(1);
    expect(last().charts!.map((c) => c.stream)).toEqual(["cpu", "disk"]);
    feed.show(b, false);
    flush();
    expect(last().charts!.map((c) => c.stream)).toEqual(["cpu"]);
    feed.changed();
    flush();
    expect(sent).toHaveLength(2);
  });

  it("keeps the id of what did not change and renews that of what did", () => {
    const a = add();
    const b = add({ stream: "disk" });
    feed.show(a, true);
    feed.show(b, true);
    flush();
    const [first, second] = last().charts!.map((c) => c.id);
    feed.wishChart(b, wish({ stream: "disk", key: ["sda"] }));
    flush();
    expect(last().charts![0]!.id).toBe(first);
    expect(last().charts![1]!.id).not.toBe(second);
    answer(second!, [1, 2]);
    expect(b.ring.length).toBe(0);
  });

  it("ignores what was on its way for a chart that left and came back", () => {
    const a = add();
    feed.show(a, true);
    flush();
    const id = last().charts![0]!.id;
    answer(id, [1, 2, 3]);
    feed.show(a, false);
    feed.takeFrame(frame(id, [4]));
    feed.show(a, true);
    flush();
    const again = last().charts![0]!.id;
    expect(again).not.toBe(id);
    answer(again, [3, 4, 5]);
    expect([...a.ring.timeView()]).toEqual([3, 4, 5]);
  });

  it("asks for nothing while the page is hidden", () => {
    const a = add();
    feed.show(a, true);
    flush();
    feed.setHidden(true);
    flush();
    expect(last().charts).toEqual([]);
    feed.setHidden(false);
    flush();
    expect(last().charts).toHaveLength(1);
  });

  it("subscribes anew after a reconnect; the first frame replaces what was held", () => {
    const a = add();
    feed.show(a, true);
    flush();
    answer(last().charts![0]!.id, [1, 2, 3]);
    isOpen = false;
    feed.reconnected();
    isOpen = true;
    feed.reconnected();
    expect(a.ring.length).toBe(3);
    const id = last().charts![0]!.id;
    feed.takeSeries({ type: "series", chart: id, keys: [["all"]] });
    feed.takeFrame(frame(id, [9]));
    expect([...a.ring.timeView()]).toEqual([9]);
  });

  it("fetches what is out of sight before it pauses the server", () => {
    const a = add();
    const b = add({ stream: "disk" });
    feed.show(a, true);
    flush();
    answer(last().charts![0]!.id, [1, 2]);
    feed.pause();
    flush();
    expect(last().charts!.map((c) => c.stream)).toEqual(["disk"]);
    answer(last().charts![0]!.id, [1, 2, 3]);
    expect(last()).toEqual({ type: "pause" });
    expect(b.ring.length).toBe(3);
    expect(a.ring.length).toBe(2);
    feed.resume();
    flush();
    expect(sent.slice(-2).map((m) => m.type)).toEqual(["resume", "subscribe"]);
    expect(last().charts!.map((c) => c.stream)).toEqual(["cpu"]);
  });

  it("pauses though somebody does not answer", () => {
    feed.show(add(), true);
    flush();
    feed.pause();
    vi.advanceTimersByTime(2000);
    expect(last()).toEqual({ type: "pause" });
  });

  it("wakes a paused server for a new wish and lets it rest again", () => {
    const a = add();
    feed.show(a, true);
    flush();
    answer(last().charts![0]!.id, [1, 2]);
    feed.pause();
    vi.advanceTimersByTime(2000);
    feed.wishChart(a, wish({ key: ["0"] }));
    flush();
    expect(sent.slice(-2).map((m) => m.type)).toEqual(["resume", "subscribe"]);
    answer(last().charts![0]!.id, [1]);
    expect(last()).toEqual({ type: "pause" });
    expect([...a.ring.timeView()]).toEqual([1]);
  });

  it("never asks for more than the server takes, and for what is on screen first", () => {
    const entries = Array.from({ length: 90 }, (_, i) => add({ stream: `s${i}` }));
    for (const entry of entries.slice(50)) feed.show(entry, true);
    feed.pause();
    flush();
    const streams = new Set(last().charts!.map((c) => c.stream));
    expect(streams.size).toBe(64);
    expect(entries.slice(50).every((entry) => streams.has(entry.wish.stream))).toBe(true);
  });

  it("bounds what a chart holds by what it asked for", () => {
    const a = add({ range_s: 60 });
    feed.show(a, true);
    flush();
    const id = last().charts![0]!.id;
    answer(id, [0]);
    for (let t = 1; t < 5000; t++) feed.takeFrame(frame(id, [t]));
    expect(a.ring.length).toBe(98);
  });
});
