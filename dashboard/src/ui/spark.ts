/* spark.ts - A small line without axes: where a figure comes from. */
import { ANOMALY_SCORE } from "../core/protocol";
import { withAlpha } from "../core/palette";
import type { Range } from "../core/scale";
import type { Size } from "./dom";
import { fitCanvas } from "./dom";
import { palette } from "./theme";

export interface SparkData {
  times: Float64Array;
  values: Float64Array;
  scores: Float32Array | null;
  drawn: number;
}

/* From zero where the values are amounts close to it; else the line would only show noise or nothing. */
function bounds(values: Float64Array, drawn: number, isAmount: boolean): [number, number] | null {
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < drawn; i++) {
    const value = values[i]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (!Number.isFinite(min)) return null;
  if (isAmount && min >= 0) min = Math.min(min, max * 0.5 > min ? 0 : min - (max - min) * 0.3);
  if (max - min < Math.abs(max) * 0.02) {
    const half = Math.max(Math.abs(max) * 0.02, 1e-12);
    return [min - half, max + half];
  }
  return [min, max];
}

export function drawSpark(
  canvas: HTMLCanvasElement,
  size: Size,
  data: SparkData,
  range: Range,
  isAmount: boolean,
): void {
  const context = fitCanvas(canvas, size);
  if (context === null) return;
  const unit = devicePixelRatio;
  const { width, height } = canvas;
  const limits = bounds(data.values, data.drawn, isAmount);
  if (limits === null) return;
  const inset = 3 * unit;
  const x = (time: number): number => ((time - range.min) / (range.max - range.min || 1)) * (width - inset);
  const y = (value: number): number =>
    height - 1.5 * unit - ((value - limits[0]) / (limits[1] - limits[0])) * (height - inset - 1.5 * unit);
  const line = new Path2D();
  const area = new Path2D();
  let lastAt = -1;
  for (let i = 0; i < data.drawn; i++) {
    if (Number.isNaN(data.values[i]!)) continue;
    let end = i;
    while (end + 1 < data.drawn && !Number.isNaN(data.values[end + 1]!)) end++;
    if (lastAt < 0) line.moveTo(x(data.times[i]!), y(data.values[i]!));
    area.moveTo(x(data.times[i]!), height);
    for (let j = i; j <= end; j++) {
      line.lineTo(x(data.times[j]!), y(data.values[j]!));
      area.lineTo(x(data.times[j]!), y(data.values[j]!));
    }
    area.lineTo(x(data.times[end]!), height);
    lastAt = end;
    i = end;
  }
  const gradient = context.createLinearGradient(0, 0, 0, height);
  gradient.addColorStop(0, withAlpha(palette.accent, 0.2));
  gradient.addColorStop(1, withAlpha(palette.accent, 0));
  context.fillStyle = gradient;
  context.fill(area);
  context.strokeStyle = palette.accent;
  context.lineWidth = 1.25 * unit;
  context.lineJoin = "round";
  context.stroke(line);
  const dot = (i: number, colour: string): void => {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(x(data.times[i]!), y(data.values[i]!), 2 * unit, 0, 2 * Math.PI);
    context.fill();
  };
  if (lastAt >= 0) dot(lastAt, palette.accent);
  if (data.scores === null) return;
  for (let i = 0; i < data.drawn; i++) {
    if (data.scores[i]! >= ANOMALY_SCORE && !Number.isNaN(data.values[i]!)) dot(i, palette.anomaly);
  }
}
