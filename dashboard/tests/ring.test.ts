/* ring.test.ts - Points of a chart: appended, replaced, inserted, dropped; against a plain map. */
import { describe, expect, it } from "vitest";
import { decodeFrame } from "../src/core/protocol";
import { SeriesRing } from "../src/core/ring";
import { makeFrame } from "./frame";

const frame = (times: number[], values: number[][][], flags = 0, scores?: number[][]) =>
  decodeFrame(makeFrame({ chart: 1, flags, times, values, scores: scores ?? values.map(() => times.map(() => 0)) }))!;

const one = (capacity: number): SeriesRing => {
  const ring = new SeriesRing(1, capacity);
  ring.setKeys([["a"]]);
  return ring;
};

describe("SeriesRing", () => {
  it("appends, and replaces the point of a time it holds", () => {
    const ring = one(10);
    ring.apply(frame([1, 2], [[[10, 20]]], 3));
    ring.apply(frame([2, 3], [[[21, 30]]], 2, [[0.5, 0]]));
    expect([...ring.timeView()]).toEqual([1, 2, 3]);
    expect([...ring.valueView(0, 0)]).toEqual([10, 21, 30]);
    expect([...ring.scoreView(0)]).toEqual([0, 0.5, 0]);
    expect(ring.isLastOpen).toBe(true);
    ring.apply(frame([3], [[[31]]]));
    expect(ring.isLastOpen).toBe(false);
  });

  it("puts a point that comes late where it belongs", () => {
    const ring = one(10);
    ring.apply(frame([10, 30], [[[1, 3]]]));
    ring.apply(frame([5, 20], [[[0, 2]]]));
    expect([...ring.timeView()]).toEqual([5, 10, 20, 30]);
    expect([...ring.valueView(0, 0)]).toEqual([0, 1, 2, 3]);
  });

  it("drops what it holds at a reset", () => {
    const ring = one(10);
    ring.apply(frame([1, 2], [[[1, 2]]]));
    ring.apply(frame([2], [[[5]]], 1));
    expect([...ring.timeView()]).toEqual([2]);
    expect([...ring.valueView(0, 0)]).toEqual([5]);
  });

  it("keeps the newest and stays bounded", () => {
    const ring = one(100);
    for (let t = 0; t < 10000; t++) ring.apply(frame([t], [[[t * 2]]]));
    expect(ring.length).toBe(100);
    expect(ring.firstTime).toBe(9900);
    expect(ring.lastTime).toBe(9999);
    expect([...ring.valueView(0, 0)].every((value, i) => value === (9900 + i) * 2)).toBe(true);
    expect(ring.bytes).toBeLessThan(100 * 1.5 * (8 + 8 + 4));
  });

  it("keeps the points of keys that stay when the set changes", () => {
    const ring = new SeriesRing(2, 10);
    ring.setKeys([["a"], ["b"]]);
    ring.apply(
      frame(
        [1],
        [
          [[1], [2]],
          [[3], [4]],
        ],
        0,
        [[0.1], [0.2]],
      ),
    );
    ring.setKeys([["b"], ["c"]]);
    expect([...ring.valueView(0, 0)]).toEqual([3]);
    expect([...ring.valueView(0, 1)]).toEqual([4]);
    expect([...ring.valueView(1, 0)]).toEqual([NaN]);
    expect(ring.scoreView(0)[0]).toBeCloseTo(0.2);
  });

  it("refuses frames of another shape and is as it was", () => {
    const ring = one(10);
    ring.apply(frame([1], [[[1]]]));
    expect(() => ring.apply(frame([2], [[[1]], [[2]]], 1))).toThrow(RangeError);
    expect(() => ring.apply(frame([2], [[[1], [2]]], 1))).toThrow(RangeError);
    expect([...ring.timeView()]).toEqual([1]);
  });

  it("finds the point at or before a time", () => {
    const ring = one(10);
    expect(ring.indexAt(1)).toBe(-1);
    ring.apply(frame([10, 20, 30], [[[1, 2, 3]]]));
    expect([9, 10, 19, 20, 31].map((t) => ring.indexAt(t))).toEqual([-1, 0, 0, 1, 2]);
  });

  it("agrees with a map, whatever comes in whatever order", () => {
    let seed = 42;
    const random = (n: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
    const ring = one(50);
    let truth = new Map<number, number>();
    for (let step = 0; step < 3000; step++) {
      const from = random(step + 10);
      const times = Array.from({ length: 1 + random(4) }, (_, i) => from + i);
      const values = times.map(() => random(1000));
      const isReset = random(200) === 0;
      ring.apply(frame(times, [[values]], isReset ? 1 : 0));
      if (isReset) truth = new Map();
      times.forEach((t, i) => {
        truth.set(t, values[i]!);
      });
      truth = new Map([...truth].sort((a, b) => a[0] - b[0]).slice(-50));
      expect([...ring.timeView()]).toEqual([...truth.keys()]);
      expect([...ring.valueView(0, 0)]).toEqual([...truth.values()]);
    }
  });
});
