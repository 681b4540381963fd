/* format.ts - Numbers with units for people: short, steady in width, never more digits than they carry. */

export interface Quantity {
  text: string;
  unit: string;
}

export const ABSENT = "–";

const SI = ["", "k", "M", "G", "T", "P"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const MINUS = "\u2212";
const THIN = "\u202f";

const grouped = (digits: string): string => {
  const [whole = "", fraction] = digits.split(".");
  const groups = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? groups : `${groups}.${fraction}`;
};

const signed = (value: number, text: string): string => (value < 0 && /[1-9]/.test(text) ? MINUS + text : text);

/* Three significant digits: 0.42, 4.20, 42.0, 420. */
function three(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.0095) return Number(size.toPrecision(2)).toString();
  return size.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

function scaled(value: number, base: number, names: string[]): Quantity {
  let size = Math.abs(value);
  let step = 0;
  while (size >= base * 0.9995 && step < names.length - 1) {
    size /= base;
    step++;
  }
  const text = step === 0 && Number.isInteger(size) ? String(size) : three(size);
  return { text: signed(value, text), unit: names[step]! };
}

/* Decimals that make a two-hundredth of the span visible. */
export function decimalsOf(span: number): number {
  return span > 0 ? Math.min(8, Math.max(0, Math.ceil(-Math.log10(span / 200) - 1e-9))) : 0;
}

/* A plain number. `span` is the spread of its neighbours, if known: a price that moves in its fifth digit shows it. */
function plain(value: number, span?: number): Quantity {
  const size = Math.abs(value);
  if (size >= 1e7) return scaled(value, 1000, SI);
  if (Number.isInteger(value)) return { text: signed(value, grouped(String(size))), unit: "" };
  if (span !== undefined && span > 0) return { text: signed(value, grouped(size.toFixed(decimalsOf(span)))), unit: "" };
  if (size < 0.001) return { text: signed(value, Number(size.toPrecision(3)).toString()), unit: "" };
  return { text: signed(value, grouped(size.toFixed(size < 1 ? 3 : size < 10 ? 2 : size < 10000 ? 1 : 0))), unit: "" };
}

/* From milliseconds. */
export function duration(ms: number): Quantity {
  const size = Math.abs(ms);
  const as = (value: number, unit: string): Quantity => ({ text: signed(ms, three(value)), unit });
  if (size === 0) return { text: "0", unit: "ms" };
  if (size < 0.001) return as(size * 1e6, "ns");
  if (size < 0.9995) return as(size * 1e3, "µs");
  if (size < 999.5) return as(size, "ms");
  if (size < 120e3) return as(size / 1e3, "s");
  if (size < 120 * 60e3) return as(size / 60e3, "min");
  if (size < 48 * 3600e3) return as(size / 3600e3, "h");
  if (size < 730 * 86400e3) return as(size / 86400e3, "d");
  return as(size / (365.25 * 86400e3), "y");
}

/* Behind by days: the data is of another time, and how far says nothing about the engine. */
export const isReplay = (lagMs: number | null): boolean => lagMs !== null && lagMs > 2 * 86400e3;

export function quantity(value: number | null | undefined, unit: string, span?: number): Quantity {
  if (value === null || value === undefined || Number.isNaN(value)) return { text: ABSENT, unit: "" };
  if (!Number.isFinite(value)) return { text: value > 0 ? "∞" : `${MINUS}∞`, unit: "" };
  switch (unit) {
    case "%":
      return { text: signed(value, Math.abs(value).toFixed(Math.abs(value) >= 99.95 ? 0 : 1)), unit: "%" };
    case "bytes":
      return scaled(value, 1024, BINARY);
    case "bytes/s": {
      const size = scaled(value, 1024, BINARY);
      return { text: size.text, unit: `${size.unit}/s` };
    }
    case "/s": {
      const rate = scaled(value, 1000, SI);
      return { text: rate.text, unit: `${rate.unit}/s` };
    }
    case "ms":
      return duration(value);
    case "s":
      return duration(value * 1e3);
    case "ns":
      return duration(value / 1e6);
    default:
      return plain(value, span);
  }
}

/* SI prefixes and "/s" follow without a gap that could break a line. */
export const joined = (q: Quantity): string => (q.unit === "" ? q.text : `${q.text}${THIN}${q.unit}`);

export const formatted = (value: number | null | undefined, unit: string, span?: number): string =>
  joined(quantity(value, unit, span));

/* Whole events: exact up to 10 million, then with a prefix. */
export const count = (value: number | null | undefined): string => formatted(value, "");

/* Ticks of one axis share the prefix of the greatest, so that they are read as a scale. */
export function axisLabels(ticks: readonly number[], unit: string): string[] {
  const top = Math.max(...ticks.map(Math.abs));
  const step = ticks.length > 1 ? Math.abs(ticks[1]! - ticks[0]!) : top;
  const by = (divisor: number, suffix: string, most = 6): string[] => {
    let decimals = 0;
    for (let size = step / divisor; decimals < most && Math.abs(size - Math.round(size)) > 1e-4; size *= 10) decimals++;
    return ticks.map((tick) => {
      if (tick === 0) return "0";
      const size = Math.abs(tick) / divisor;
      return signed(tick, grouped(size.toFixed(decimals))) + suffix;
    });
  };
  const prefixed = (base: number, names: string[]): string[] => {
    const power =
      top > 0 ? Math.min(names.length - 1, Math.max(0, Math.floor(Math.log(top) / Math.log(base) + 1e-9))) : 0;
    return by(base ** power, names[power]!);
  };
  if (ticks.length === 0) return [];
  if (unit === "bytes" || unit === "bytes/s") return prefixed(1024, ["", "K", "M", "G", "T", "P"]);
  const ms = unit === "s" ? 1e3 : unit === "ns" ? 1e-6 : 1;
  if (unit === "ms" || unit === "s" || unit === "ns") {
    const topMs = top * ms;
    if (topMs < 1) return by(1e-3 / ms, "µs");
    if (topMs < 1e3) return by(1 / ms, "ms");
    return topMs < 600e3 ? by(1e3 / ms, "s") : topMs < 7200e3 ? by(60e3 / ms, "min", 1) : by(3600e3 / ms, "h", 1);
  }
  if (unit === "%") return by(1, "");
  return top >= (unit === "/s" ? 1e3 : 1e6) || unit === "/s" ? prefixed(1000, SI) : by(1, "");
}
