/* scale.ts - Ranges and ticks of value axes: round, and steady while data moves. */

export interface Range {
  min: number;
  max: number;
}

const DECIMAL = [1, 2, 2.5, 5, 10];
const BINARY = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

export const isBinary = (unit: string): boolean => unit === "bytes" || unit === "bytes/s";

/* The least round number of the unit that is >= size. */
export function niceUp(size: number, unit: string): number {
  if (!(size > 0)) return 1;
  const base = isBinary(unit) ? 1024 : 10;
  const power = base ** Math.floor(Math.log(size) / Math.log(base) + 1e-12);
  for (const step of isBinary(unit) ? BINARY : DECIMAL) if (step * power >= size * (1 - 1e-9)) return step * power;
  return base * power;
}

/* About `count` ticks, all within the range. */
export function ticks(range: Range, count: number, unit: string): number[] {
  const width = range.max - range.min;
  if (!(width > 0) || !Number.isFinite(width)) return [];
  const step = niceUp(width / Math.max(1, count), unit);
  const first = Math.ceil(range.min / step - 1e-9) + 0; /* no -0 */
  const last = Math.floor(range.max / step + 1e-9);
  const at: number[] = [];
  for (let i = first; i <= last && at.length < 32; i++) at.push(i * step);
  return at;
}

/* Amounts (counts, and whatever has a unit) are drawn from zero, so that heights compare; a plain number that stays far
 * from zero (a price) is drawn where it is. `was` is the range before: once chosen, a range stays until data leaves it
 * or fills less than 40 % of it. */
export function valueRange(min: number, max: number, unit: string, was: Range | null, isAmount = unit !== ""): Range {
  if (!Number.isFinite(min) || !Number.isFinite(max)) return was ?? { min: 0, max: unit === "%" ? 100 : 1 };
  const wasZoomed = was !== null && was.min > 0;
  const isFar = !isAmount && min > 0 && min > (wasZoomed ? 0.75 : 0.85) * max;
  if (isFar || (!isAmount && max < 0)) return nearRange(min, max, was);
  const low = min < 0 ? -niceUp(-min * 1.05, unit) : 0;
  if (was !== null && was.min === low && max <= was.max && max * 1.05 > was.max * 0.4) return was;
  if (max <= 0) return { min: low, max: low < 0 ? 0 : 1 };
  if (unit === "%" && max > 50 && max <= 100) return { min: low, max: 100 };
  return { min: low, max: headroom(max, unit) };
}

/* A little more than the data, on a multiple of a tick. */
function headroom(max: number, unit: string): number {
  const step = niceUp(max / 4, unit);
  return Math.ceil((max * 1.04) / step) * step;
}

function nearRange(min: number, max: number, was: Range | null): Range {
  const width = max - min || Math.abs(max) * 0.002 || 1;
  if (was !== null && was.min !== 0 && min >= was.min && max <= was.max && width > 0.4 * (was.max - was.min))
    return was;
  const step = niceUp(width / 4, "");
  return { min: Math.floor((min - width * 0.06) / step) * step, max: Math.ceil((max + width * 0.06) / step) * step };
}
