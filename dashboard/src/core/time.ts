/* time.ts - Event times for people, and where a time axis has its ticks.
 *
 * Times within a day or so of 1970-01-01 are "milliseconds since midnight" without a date: they are shown as plain
 * clock times, in UTC, because a time zone would move them. All others are in the browser's zone, with the date where it
 * matters.
 */

const DAY_MS = 86400e3;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const STEPS_MS = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1e3,
  2e3,
  5e3,
  10e3,
  15e3,
  30e3,
  60e3,
  120e3,
  300e3,
  600e3,
  900e3,
  1800e3,
  3600e3,
  7200e3,
  10800e3,
  21600e3,
  43200e3,
  DAY_MS,
  2 * DAY_MS,
  7 * DAY_MS,
  14 * DAY_MS,
  28 * DAY_MS,
  91 * DAY_MS,
  365 * DAY_MS,
];

export const isClockOnly = (ms: number): boolean => ms > -DAY_MS && ms < 2 * DAY_MS;

const pad = (value: number, width = 2): string => String(value).padStart(width, "0");

/* The same instant as a Date whose UTC fields are what is shown. */
function shown(ms: number): Date {
  return new Date(isClockOnly(ms) ? ms : ms - new Date(ms).getTimezoneOffset() * 60e3);
}

export function clock(ms: number, stepMs = 1000): string {
  if (!Number.isFinite(ms)) return "";
  const date = shown(ms);
  const minutes = `${pad(date.getUTCHours())}:${pad(date.getUTCMinutes())}`;
  if (stepMs >= 60e3) return minutes;
  const seconds = `${minutes}:${pad(date.getUTCSeconds())}`;
  return stepMs >= 1000 ? seconds : `${seconds}.${pad(date.getUTCMilliseconds(), 3)}`;
}

export function day(ms: number): string {
  const date = shown(ms);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]!} ${date.getUTCFullYear()}`;
}

/* With the date unless it is today's or there is none. */
export function moment(ms: number, stepMs = 1000, nowMs = Date.now()): string {
  if (!Number.isFinite(ms)) return "";
  const time = clock(ms, stepMs);
  return isClockOnly(ms) || day(ms) === day(nowMs) ? time : `${day(ms)}, ${time}`;
}

export function span(fromMs: number, toMs: number, nowMs = Date.now()): string {
  if (!Number.isFinite(fromMs) || !Number.isFinite(toMs)) return "";
  const stepMs = toMs - fromMs < 5e3 ? 1 : 1000;
  const isOneDay = isClockOnly(toMs) || day(fromMs) === day(toMs);
  return `${moment(fromMs, stepMs, nowMs)} – ${isOneDay ? clock(toMs, stepMs) : moment(toMs, stepMs, nowMs)}`;
}

export interface TimeTicks {
  stepMs: number;
  at: number[];
}

/* At most `most` ticks, on round local times. */
export function timeTicks(fromMs: number, toMs: number, most: number): TimeTicks {
  const width = toMs - fromMs;
  if (!(width > 0) || most < 1) return { stepMs: 1000, at: [] };
  const stepMs = STEPS_MS.find((step) => width / step <= most) ?? STEPS_MS[STEPS_MS.length - 1]!;
  const offset = isClockOnly(fromMs) ? 0 : -new Date(fromMs).getTimezoneOffset() * 60e3;
  const at: number[] = [];
  for (let t = Math.ceil((fromMs + offset) / stepMs) * stepMs - offset; t <= toMs && at.length < 64; t += stepMs)
    at.push(t);
  return { stepMs, at };
}

export function tickLabels(ticks: TimeTicks): string[] {
  return ticks.at.map((ms) => {
    if (ticks.stepMs < DAY_MS) return clock(ms, ticks.stepMs);
    const date = shown(ms);
    return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]!}`;
  });
}

/* Of a window: "1 s", "250 ms", "1 min". */
export function windowText(windowNs: number): string {
  const units: [number, string][] = [
    [86400e9, "d"],
    [3600e9, "h"],
    [60e9, "min"],
    [1e9, "s"],
    [1e6, "ms"],
    [1e3, "µs"],
  ];
  for (const [size, name] of units) {
    if (windowNs >= size && (windowNs % size === 0 || size === 1e3)) return `${windowNs / size}\u202f${name}`;
  }
  return `${windowNs}\u202fns`;
}
