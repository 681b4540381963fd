/* scale.test.ts - Value axes: round, containing the data, and steady. */
import { describe, expect, it } from "vitest";
import { niceUp, ticks, valueRange } from "../src/core/scale";

describe("niceUp", () => {
  it("is the next round number of the unit", () => {
    expect([0.003, 1, 1.1, 2.1, 3, 7, 95].map((x) => niceUp(x, ""))).toEqual([0.005, 1, 2, 2.5, 5, 10, 100]);
    expect([1, 3, 1000, 1025, 5e6].map((x) => niceUp(x, "bytes"))).toEqual([1, 4, 1024, 2048, 8 * 2 ** 20]);
  });
});

describe("valueRange", () => {
  it("begins at zero for amounts", () => {
    expect(valueRange(40, 47, "bytes/s", null).min).toBe(0);
    expect(valueRange(10, 47, "", null).min).toBe(0);
    expect(valueRange(1, 1, "", null, true)).toEqual({ min: 0, max: 1.25 });
    expect(valueRange(12, 60, "%", null)).toEqual({ min: 0, max: 100 });
  });

  it("is around the data for a number that stays far from zero", () => {
    const range = valueRange(486000, 487000, "", null);
    expect(range.min).toBeGreaterThan(480000);
    expect(range.min).toBeLessThan(486000);
    expect(range.max).toBeGreaterThan(487000);
  });

  it("contains the data and has room above it, whatever it is", () => {
    for (const unit of ["", "%", "bytes", "ms", "/s"]) {
      for (const [low, high] of [
        [0, 0],
        [0, 1e-9],
        [0, 1e15],
        [-5, 5],
        [-1e6, -9e5],
        [3, 3],
        [0.2, 130],
      ] as const) {
        const range = valueRange(low, high, unit, null);
        expect(range.min, `${unit} ${low} ${high}`).toBeLessThanOrEqual(low);
        expect(range.max, `${unit} ${low} ${high}`).toBeGreaterThanOrEqual(high);
        expect(range.max).toBeGreaterThan(range.min);
      }
    }
  });

  it("stays while the data moves a little, and follows when it leaves or shrinks", () => {
    const first = valueRange(0, 70, "ms", null);
    expect(valueRange(0, 60, "ms", first)).toBe(first);
    expect(valueRange(0, first.max * 1.2, "ms", first).max).toBeGreaterThan(first.max);
    expect(valueRange(0, first.max * 0.2, "ms", first).max).toBeLessThan(first.max);
  });

  it("is something to draw on without data", () => {
    expect(valueRange(Infinity, -Infinity, "%", null)).toEqual({ min: 0, max: 100 });
    const was = { min: 0, max: 7 };
    expect(valueRange(NaN, NaN, "", was)).toBe(was);
  });
});

describe("ticks", () => {
  it("are inside the range and evenly apart", () => {
    expect(ticks({ min: 0, max: 100 }, 4, "%")).toEqual([0, 25, 50, 75, 100]);
    expect(ticks({ min: 0, max: 3 * 2 ** 30 }, 3, "bytes")).toEqual([0, 2 ** 30, 2 ** 31, 3 * 2 ** 30]);
    expect(ticks({ min: 5, max: 5 }, 3, "")).toEqual([]);
    expect(ticks({ min: 0, max: NaN }, 3, "")).toEqual([]);
  });
});
