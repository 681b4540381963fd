/* strokes.test.ts - Lines break where points are absent or missing, and keep their peaks where many share a pixel. */
import { describe, expect, it } from "vitest";
import type { View } from "../src/ui/strokes";
import { traceLine } from "../src/ui/strokes";

const view = (times: number[], pxPerMs = 1): View => ({
  times: Float64Array.from(times),
  from: 0,
  to: times.length - 1,
  gapMs: 15,
  x: (time) => time * pxPerMs,
  y: (value) => value,
});

function traced(of: View, line: number[]): string {
  const strokes: string[] = [];
  const pen = {
    moveTo: (x: number, y: number) => strokes.push(`M${x},${y}`),
    lineTo: (x: number, y: number) => strokes.push(`L${x},${y}`),
  };
  traceLine(of, Float64Array.from(line), pen);
  return strokes.join(" ");
}

describe("traceLine", () => {
  it("goes through the points", () => {
    expect(traced(view([0, 10, 20]), [1, 2, 3])).toBe("M0,1 L10,2 L20,3");
  });

  it("breaks at absent values, wherever they are", () => {
    expect(traced(view([0, 10, 20, 30]), [NaN, 2, NaN, 4])).toBe("M10,2 M30,4");
    expect(traced(view([0, 10, 20]), [NaN, NaN, NaN])).toBe("");
  });

  it("breaks where windows are missing", () => {
    expect(traced(view([0, 10, 40, 50]), [1, 2, 3, 4])).toBe("M0,1 L10,2 M40,3 L50,4");
  });

  it("keeps the least and the greatest of the points that share a column of pixels", () => {
    const close = { ...view([0, 10, 20, 30, 1000], 0.01), gapMs: 1e6 };
    expect(traced(close, [5, 9, 1, 6, 7])).toBe("M0,5 L0,1 L0,9 L0,6 L10,7");
  });

  it("draws nothing of nothing", () => {
    expect(traced(view([]), [])).toBe("");
  });
});
