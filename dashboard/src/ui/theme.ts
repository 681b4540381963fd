/* theme.ts - Which palette is on. Dark unless chosen otherwise; "auto" follows the system. */
import type { Palette } from "../core/palette";
import { DARK, LIGHT, withAlpha } from "../core/palette";
import type { Theme } from "../core/urlstate";

const THEME_ENTRY = "sidewinder-theme";
const system = window.matchMedia("(prefers-color-scheme: light)");

export const motion = window.matchMedia("(prefers-reduced-motion: reduce)");

let listeners: (() => void)[] = [];
let chosen: Theme = "dark";

export let palette: Palette = DARK;

export function onTheme(listener: () => void): void {
  listeners.push(listener);
}

export function remembered(): Theme {
  const entry = localStorage.getItem(THEME_ENTRY);
  return entry === "light" || entry === "auto" ? entry : "dark";
}

function apply(): void {
  palette = chosen === "light" || (chosen === "auto" && system.matches) ? LIGHT : DARK;
  const root = document.documentElement;
  root.dataset["theme"] = palette.name;
  root.style.colorScheme = palette.name;
  for (const [name, value] of Object.entries(palette)) {
    if (typeof value === "string" && value.startsWith("#")) root.style.setProperty(`--${name}`, value);
  }
  palette.series.forEach((colour, i) => root.style.setProperty(`--series-${i}`, colour));
  for (const name of ["accent", "anomaly", "warn", "ok", "text"] as const) {
    root.style.setProperty(`--${name}-soft`, withAlpha(palette[name], palette.name === "dark" ? 0.14 : 0.1));
  }
  for (const listener of listeners) listener();
}

export function setTheme(theme: Theme | null, isChoice: boolean): void {
  chosen = theme ?? remembered();
  if (isChoice) localStorage.setItem(THEME_ENTRY, chosen);
  apply();
}

system.addEventListener("change", () => {
  if (chosen === "auto") apply();
});
