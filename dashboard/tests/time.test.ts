/* time.test.ts - Times in a zone with daylight saving and half hours, and times without a date. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { clock, isClockOnly, moment, span, tickLabels, timeTicks, windowText } from "../src/core/time";

afterEach(() => void vi.unstubAllEnvs());

const NOON = Date.UTC(2013, 9, 7, 19, 59, 58);

describe("times", () => {
  it("are shown in the local zone, with the date unless it is today's", () => {
    vi.stubEnv("TZ", "America/New_York");
    expect(clock(NOON)).toBe("15:59:58");
    expect(moment(NOON)).toBe("7 Oct 2013, 15:59:58");
    expect(moment(NOON, 1000, NOON + 60e3)).toBe("15:59:58");
    expect(span(NOON - 600e3, NOON)).toBe("7 Oct 2013, 15:49:58 – 15:59:58");
  });

  it("since midnight are plain clock times in any zone", () => {
    vi.stubEnv("TZ", "Asia/Kolkata");
    expect(isClockOnly(34200000)).toBe(true);
    expect(clock(34200000)).toBe("09:30:00");
    expect(moment(34200000)).toBe("09:30:00");
    expect(clock(34200123, 1)).toBe("09:30:00.123");
    expect(isClockOnly(NOON)).toBe(false);
  });

  it("that are absent are empty", () => {
    expect(clock(NaN)).toBe("");
    expect(span(NaN, NaN)).toBe("");
  });
});

describe("timeTicks", () => {
  it("are on round local times", () => {
    vi.stubEnv("TZ", "Asia/Kolkata");
    const ticks = timeTicks(NOON, NOON + 6 * 3600e3, 6);
    expect(ticks.stepMs).toBe(3600e3);
    expect(tickLabels(ticks).every((label) => label.endsWith(":00"))).toBe(true);
  });

  it("are never more than asked for, and at least one", () => {
    for (const width of [5, 300, 60e3, 300e3, 900e3, 86400e3, 400 * 86400e3]) {
      for (const most of [2, 3, 5, 8]) {
        const { at } = timeTicks(NOON, NOON + width, most);
        expect(at.length, `${width} ${most}`).toBeLessThanOrEqual(most + 1);
        expect(at.every((t) => t >= NOON && t <= NOON + width)).toBe(true);
      }
    }
    expect(timeTicks(5, 5, 4).at).toEqual([]);
  });
});

describe("windowText", () => {
  it.each([
    [1e9, "1 s"],
    [250e6, "250 ms"],
    [60e9, "1 min"],
    [90e9, "90 s"],
    [3600e9, "1 h"],
    [1500e3, "1500 µs"],
  ])("%d ns is %s", (ns, expected) => {
    expect(windowText(ns).replace("\u202f", " ")).toBe(expected);
  });
});
