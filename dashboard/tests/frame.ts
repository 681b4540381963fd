/* frame.ts - Writes a series frame by hand, as a server would. */

export interface FrameParts {
  chart: number;
  flags: number;
  times: number[];
  values: number[][][]; /* [series][aggregate][point] */
  scores: number[][];
}

export function makeFrame(parts: FrameParts): ArrayBuffer {
  const points = parts.times.length;
  const series = parts.values.length;
  const aggregates = parts.values[0]?.length ?? 0;
  const buffer = new ArrayBuffer(16 + 8 * points * (1 + series * aggregates) + 4 * points * series);
  const view = new DataView(buffer);
  view.setUint8(0, 1);
  view.setUint8(1, parts.flags);
  view.setUint16(2, parts.chart, true);
  view.setUint32(4, series, true);
  view.setUint32(8, aggregates, true);
  view.setUint32(12, points, true);
  let at = 16;
  for (const value of [...parts.times, ...parts.values.flat(2)]) {
    view.setFloat64(at, value, true);
    at += 8;
  }
  for (const score of parts.scores.flat()) {
    view.setFloat32(at, score, true);
    at += 4;
  }
  return buffer;
}
