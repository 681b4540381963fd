/* strokes.ts - How points become strokes on a canvas: absent values are NaN and never bridged in silence. */

/* The points in view, and where they are on the canvas. */
export interface View {
  times: Float64Array;
  from: number; /* first and last index */
  to: number;
  gapMs: number; /* points further apart than this have others missing between them */
  x(time: number): number;
  y(value: number): number;
}

interface Pen {
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
}

const ONE_COLUMN_PX = 0.6;

const isAbsent = (line: Float64Array, i: number): boolean => Number.isNaN(line[i]!);

/* Whether points i and i + 1 are neighbours. */
const isJoined = (view: View, i: number): boolean => view.times[i + 1]! - view.times[i]! <= view.gapMs;

/* Calls `run` for each stretch of points that are there, one after another. */
function stretches(view: View, isThere: (i: number) => boolean, run: (from: number, to: number) => void): void {
  for (let i = view.from; i <= view.to; i++) {
    if (!isThere(i)) continue;
    const from = i;
    while (i < view.to && isThere(i + 1) && isJoined(view, i)) i++;
    run(from, i);
  }
}

/* The line through one stretch. Points of one column of pixels become one stroke from the least to the greatest. */
function traceStretch(view: View, line: Float64Array, span: { from: number; to: number }, pen: Pen): void {
  for (let i = span.from; i <= span.to; i++) {
    const x = view.x(view.times[i]!);
    const first = line[i]!;
    let low = first;
    let high = first;
    const start = i;
    while (i < span.to && view.x(view.times[i + 1]!) - x < ONE_COLUMN_PX) {
      i++;
      low = Math.min(low, line[i]!);
      high = Math.max(high, line[i]!);
    }
    if (start === span.from) pen.moveTo(x, view.y(first));
    else pen.lineTo(x, view.y(first));
    if (i === start) continue;
    pen.lineTo(x, view.y(low));
    pen.lineTo(x, view.y(high));
    pen.lineTo(x, view.y(line[i]!));
  }
}

export function traceLine(view: View, line: Float64Array, pen: Pen): void {
  stretches(
    view,
    (i) => !isAbsent(line, i),
    (from, to) => traceStretch(view, line, { from, to }, pen),
  );
}

/* Where both edges are there; `low` null is zero. */
export function fillBand(
  ctx: CanvasRenderingContext2D,
  view: View,
  low: Float64Array | null,
  high: Float64Array,
): void {
  const zero = view.y(0);
  const isThere = (i: number): boolean => !isAbsent(high, i) && (low === null || !isAbsent(low, i));
  ctx.beginPath();
  stretches(view, isThere, (from, to) => {
    ctx.moveTo(view.x(view.times[from]!), view.y(high[from]!));
    for (let i = from + 1; i <= to; i++) ctx.lineTo(view.x(view.times[i]!), view.y(high[i]!));
    for (let i = to; i >= from; i--) ctx.lineTo(view.x(view.times[i]!), low === null ? zero : view.y(low[i]!));
    ctx.closePath();
  });
  ctx.fill();
}

/* Where points are missing a thin dashed line leads on: a sparse series can be followed and is not taken for whole. */
export function bridgeGaps(ctx: CanvasRenderingContext2D, view: View, line: Float64Array, colour: string): void {
  let last = -1;
  ctx.save();
  ctx.beginPath();
  stretches(
    view,
    (i) => !isAbsent(line, i),
    (from, to) => {
      if (last >= 0) {
        ctx.moveTo(view.x(view.times[last]!), view.y(line[last]!));
        ctx.lineTo(view.x(view.times[from]!), view.y(line[from]!));
      }
      last = to;
    },
  );
  ctx.globalAlpha = 0.5;
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.stroke();
  ctx.restore();
}

/* A point without neighbours has no line: it is a dot. */
export function dotLonely(ctx: CanvasRenderingContext2D, view: View, line: Float64Array, colour: string): void {
  ctx.fillStyle = colour;
  stretches(
    view,
    (i) => !isAbsent(line, i),
    (from, to) => {
      if (from === to) dot(ctx, view.x(view.times[from]!), view.y(line[from]!), 1.6);
    },
  );
}

/* A column behind every run of points for which it is true. */
export function markRuns(ctx: CanvasRenderingContext2D, view: View, isMarked: (i: number) => boolean): void {
  const half = 1.5 * devicePixelRatio;
  stretches(view, isMarked, (from, to) => {
    const left = view.x(view.times[from]!) - half;
    ctx.fillRect(left, 0, view.x(view.times[to]!) + half - left, ctx.canvas.height);
  });
}

export function dot(ctx: CanvasRenderingContext2D, x: number, y: number, radiusPx: number): void {
  ctx.beginPath();
  ctx.arc(x, y, radiusPx * devicePixelRatio, 0, 2 * Math.PI);
  ctx.fill();
}
