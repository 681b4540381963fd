/* view.ts - What the page shows: a place in the plane, how deep, and in which colours; and the ways to get elsewhere. */
import type { Decimal } from "./decimal";
import { distance, formatDecimal, moved, parseDecimal } from "./decimal";

export const HEIGHT = 3; /* of the view at zoom 1 */
export const ZOOM_LEAST = 0.05;
export const ZOOM_MOST = 1e301;
export const TILE = 256;

export type Kind = "mandelbrot" | "julia" | "burning-ship";
export const KINDS: readonly Kind[] = ["mandelbrot", "julia", "burning-ship"];
const CENTERS: Record<Kind, [string, string]> = {
  mandelbrot: ["-0.7", "0"],
  julia: ["0", "0"],
  "burning-ship": ["-0.45", "-0.5"],
};

export interface View {
  kind: Kind;
  re: string;
  im: string;
  zoom: number;
  iterations: number; /* 0: what the picture needs */
  palette: string;
  julia: [number, number];
}

export interface Size {
  width: number;
  height: number;
}

export interface Point {
  x: number;
  y: number;
}

export interface Tile extends Point, Size {
  column: number;
  row: number;
}

export function homeOf(kind: Kind, palette = "dusk"): View {
  const [re, im] = CENTERS[kind];
  return { kind, re, im, zoom: 1, iterations: 0, palette, julia: [-0.8, 0.156] };
}

function numberOf(text: string | null, least: number, most: number, otherwise: number): number {
  const value = text === null || text === "" ? NaN : Number(text);
  return value >= least && value <= most ? value : otherwise;
}

const textOf = (text: string | null, otherwise: string): string => {
  const decimal = parseDecimal(text ?? "");
  return decimal ? formatDecimal(decimal) : otherwise;
};

/* What cannot be read is as on the plain page. */
export function parseView(hash: string): View {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const named = parameters.get("kind") as Kind;
  const home = homeOf(KINDS.includes(named) ? named : "mandelbrot");
  return {
    kind: home.kind,
    re: textOf(parameters.get("re"), home.re),
    im: textOf(parameters.get("im"), home.im),
    zoom: numberOf(parameters.get("zoom"), ZOOM_LEAST, ZOOM_MOST, 1),
    iterations: Math.round(numberOf(parameters.get("iterations"), 0, 1e9, 0)),
    palette: /^[a-z]+$/.exec(parameters.get("palette") ?? "")?.[0] ?? home.palette,
    julia: [
      numberOf(parameters.get("jre"), -1000, 1000, home.julia[0]),
      numberOf(parameters.get("jim"), -1000, 1000, home.julia[1]),
    ],
  };
}

function parametersOf(view: View): URLSearchParams {
  const parameters = new URLSearchParams({ kind: view.kind, re: view.re, im: view.im, zoom: String(view.zoom) });
  if (view.iterations > 0) parameters.set("iterations", String(view.iterations));
  parameters.set("palette", view.palette);
  if (view.kind === "julia") {
    parameters.set("jre", String(view.julia[0]));
    parameters.set("jim", String(view.julia[1]));
  }
  return parameters;
}

/* Neither + nor % comes up: 1e+300 is written 1e300. */
const plain = (parameters: URLSearchParams): string => parameters.toString().replace(/%2B/g, "");

export const formatView = (view: View): string => `#${plain(parametersOf(view))}`;

export function tileUrl(view: View, size: Size, tile: Tile): string {
  const parameters = parametersOf(view);
  for (const [name, value] of Object.entries({ ...size, x: tile.column, y: tile.row })) {
    parameters.set(name, String(value));
  }
  return `tile?${plain(parameters)}`;
}

/* Whether points at half the distance of the pixels are still apart enough to be computed. */
function hasRoomBetween(view: View, size: Size): boolean {
  return HEIGHT / view.zoom / (2 * size.height) >= (view.kind === "mandelbrot" ? 1e-305 : 2e-15);
}

/* The command that draws this view. */
export function commandOf(view: View, size: Size): string {
  const words = ["sidewinder fractal", `--size ${size.width}x${size.height}`, `--kind ${view.kind}`];
  if (view.kind === "julia") words.push(`--julia=${view.julia.join(",")}`);
  words.push(`--center=${view.re},${view.im}`, `--zoom ${String(view.zoom).replace("+", "")}`);
  if (view.iterations > 0) words.push(`--iterations ${view.iterations}`);
  words.push(`--palette ${view.palette}`);
  if (hasRoomBetween(view, size)) words.push("--supersample 2");
  words.push("-o fractal.png");
  return words.join(" ");
}

/* Tiles, those in the middle first. */
export function tilesOf(size: Size): Tile[] {
  const tiles: Tile[] = [];
  for (let y = 0; y < size.height; y += TILE) {
    for (let x = 0; x < size.width; x += TILE) {
      const width = Math.min(TILE, size.width - x);
      const height = Math.min(TILE, size.height - y);
      tiles.push({ column: x / TILE, row: y / TILE, x, y, width, height });
    }
  }
  const away = (tile: Tile): number =>
    Math.hypot(tile.x + tile.width / 2 - size.width / 2, tile.y + tile.height / 2 - size.height / 2);
  return tiles.sort((a, b) => away(a) - away(b));
}

/* Pixels in one unit of the plane. */
const scaleOf = (view: View, size: Size): number => (view.zoom * size.height) / HEIGHT;

const upwards = (view: View): number => (view.kind === "burning-ship" ? 1 : -1);

const decimal = (text: string): Decimal => parseDecimal(text) ?? { units: 0n, digits: 0 };

/* The view whose middle is `by` pixels from this one's. */
export function panned(view: View, size: Size, by: Point): View {
  const scale = scaleOf(view, size);
  return {
    ...view,
    re: formatDecimal(moved(decimal(view.re), by.x, scale)),
    im: formatDecimal(moved(decimal(view.im), by.y * upwards(view), scale)),
  };
}

/* Magnified by `factor`; what is at `at` stays there. */
export function zoomed(view: View, size: Size, at: Point, factor: number): View {
  const zoom = Math.min(Math.max(view.zoom * factor, ZOOM_LEAST), ZOOM_MOST);
  const share = 1 - view.zoom / zoom;
  const by = { x: (at.x - size.width / 2) * share, y: (at.y - size.height / 2) * share };
  const scale = (Math.max(zoom, view.zoom) * size.height) / HEIGHT;
  const ratio = scale / scaleOf(view, size);
  return {
    ...view,
    zoom,
    re: formatDecimal(moved(decimal(view.re), by.x * ratio, scale)),
    im: formatDecimal(moved(decimal(view.im), by.y * ratio * upwards(view), scale)),
  };
}

/* The box fills the view, as far as its shape lets it. */
export function zoomedInto(view: View, size: Size, box: Point & Size): View {
  const by = { x: box.x + box.width / 2 - size.width / 2, y: box.y + box.height / 2 - size.height / 2 };
  const factor = Math.min(size.width / box.width, size.height / box.height);
  const middle = { x: size.width / 2, y: size.height / 2 };
  return zoomed(panned(view, size, by), size, middle, factor);
}

/* Where the plane's point at a pixel is. */
export function placeOf(view: View, size: Size, at: Point): { re: string; im: string } {
  return panned(view, size, { x: at.x - size.width / 2, y: at.y - size.height / 2 });
}

/* How the picture of `before` lies in that of `now`: it is drawn from (x, y) with `scale`. Null when far away. */
export function overlap(before: View, now: View, size: Size): { x: number; y: number; scale: number } | null {
  if (before.kind !== now.kind || before.julia.join() !== now.julia.join()) return null;
  const scale = now.zoom / before.zoom;
  const pixels = scaleOf(now, size);
  const dx = distance(decimal(before.re), decimal(now.re), pixels);
  const dy = distance(decimal(before.im), decimal(now.im), pixels) * upwards(now);
  const x = size.width / 2 + dx - (size.width / 2) * scale;
  const y = size.height / 2 + dy - (size.height / 2) * scale;
  return Number.isFinite(x) && Number.isFinite(y) && scale > 1e-4 && scale < 1e4 ? { x, y, scale } : null;
}
