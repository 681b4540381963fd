/* layout.ts - What goes where and how it is called: widths of panels, names of bands, order and text of table rows. */
import { ABSENT, formatted } from "./format";
import type { CellValue, TableRow } from "./protocol";

/* Sixths of the width each of n panels takes on a wide page, so that no row has a hole. */
export function spans(n: number): number[] {
  if (n === 0) return [];
  if (n === 1) return [6];
  if (n === 2 || n === 4) return Array.from({ length: n }, () => 3);
  const thirds = Array.from({ length: n }, () => 2);
  if (n % 3 === 2) thirds.fill(3, n - 2);
  if (n % 3 === 1) thirds.fill(3, n - 4);
  return thirds;
}

/* "busy_p50" and "busy_p99" are "p50 – p99". */
export function bandLabel(low: string, high: string): string {
  let same = 0;
  while (same < low.length && low[same] === high[same]) same++;
  const cut = low.lastIndexOf("_", same) + 1;
  return `${low.slice(cut)} – ${high.slice(cut)}`;
}

const collator = new Intl.Collator("en", { numeric: true });

export const cellText = (value: CellValue | undefined, unit: string): string => {
  if (value === null || value === undefined) return ABSENT;
  if (typeof value === "number") return formatted(value, unit);
  return typeof value === "string" ? value : JSON.stringify(value);
};

/* The engine sorts by aggregates; by a key column, what it sent is put in order here. */
export function ordered(rows: readonly TableRow[], keyColumn: number, descending: boolean): TableRow[] {
  if (keyColumn < 0) return [...rows];
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => sign * collator.compare(a.key[keyColumn] ?? "", b.key[keyColumn] ?? ""));
}

/* The beginning of a text that takes at most so many bytes. */
export function fitBytes(text: string, most: number): string {
  const characters = [...text].slice(0, most);
  while (new TextEncoder().encode(characters.join("")).length > most) characters.pop();
  return characters.join("");
}

/* Index of the last of the first `count` values that is there, -1 if none is. */
export function lastPresent(values: Float64Array, count: number): number {
  let i = count - 1;
  while (i >= 0 && Number.isNaN(values[i]!)) i--;
  return i;
}
