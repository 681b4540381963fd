/* palette.ts - The colours of both themes, and which series gets which; tests/palette.test.ts checks contrast. */

export interface Palette {
  name: "dark" | "light";
  bg: string;
  panel: string;
  raised: string;
  line: string;
  grid: string;
  text: string;
  muted: string;
  faint: string;
  accent: string;
  brand: string;
  ok: string;
  warn: string;
  anomaly: string;
  series: readonly string[];
}

export const DARK: Palette = {
  name: "dark",
  bg: "#0b0d11",
  panel: "#12151b",
  raised: "#1b1f28",
  line: "#242a35",
  grid: "#1c2129",
  text: "#e9ecf1",
  muted: "#9ba5b4",
  faint: "#838d9d",
  accent: "#6cb6ff",
  brand: "#e3b873",
  ok: "#45cf93",
  warn: "#f0b45a",
  anomaly: "#ff6f6b",
  series: ["#5eabff", "#f2b24e", "#46cfa2", "#c58ff0", "#b4cf4d", "#f58bb4", "#4fcfe6", "#d6bd94"],
};

export const LIGHT: Palette = {
  name: "light",
  bg: "#f4f5f7",
  panel: "#ffffff",
  raised: "#eceef2",
  line: "#d9dde4",
  grid: "#e9ecf0",
  text: "#14181f",
  muted: "#4d5766",
  faint: "#5f6977",
  accent: "#0b62c4",
  brand: "#8a5a0b",
  ok: "#0a7a4c",
  warn: "#8f5600",
  anomaly: "#c8202b",
  series: ["#1a6fd8", "#b56a00", "#0a8a66", "#8440c4", "#5f7d00", "#c7367a", "#0a7f95", "#7d663a"],
};

function channel(hex: string, at: number): number {
  const value = parseInt(hex.slice(at, at + 2), 16) / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

const luminance = (hex: string): number =>
  0.2126 * channel(hex, 1) + 0.7152 * channel(hex, 3) + 0.0722 * channel(hex, 5);

/* WCAG 2.2 contrast of two #rrggbb colours, 1 to 21. */
export function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

export function withAlpha(hex: string, alpha: number): string {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

const MAX_REMEMBERED = 512;

/* The colour of a key stays the same in every chart of a stream, as long as the chart has no two keys of one colour. */
export class ColourSlots {
  private readonly slots = new Map<string, number>();
  private next = 0;

  constructor(private readonly count: number) {}

  assign(keys: readonly string[]): number[] {
    const used = new Set<number>();
    return keys.map((key) => {
      let slot = this.slots.get(key);
      if (slot === undefined || (used.has(slot) && used.size < this.count)) {
        const wanted = slot ?? this.next++ % this.count;
        slot = wanted;
        while (used.has(slot) && used.size < this.count) slot = (slot + 1) % this.count;
        if (!this.slots.has(key)) this.remember(key, slot);
      }
      used.add(slot);
      return slot;
    });
  }

  private remember(key: string, slot: number): void {
    if (this.slots.size >= MAX_REMEMBERED) {
      const oldest = this.slots.keys().next();
      if (oldest.done !== true) this.slots.delete(oldest.value);
    }
    this.slots.set(key, slot);
  }
}
