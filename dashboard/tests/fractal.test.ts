/* fractal.test.ts - Decimal numbers and views of the fractal page. */
import { describe, expect, it } from "vitest";
import { distance, formatDecimal, moved, parseDecimal } from "../src/fractal/decimal";
import {
  commandOf,
  formatView,
  homeOf,
  overlap,
  panned,
  parseView,
  placeOf,
  tilesOf,
  tileUrl,
  zoomed,
  zoomedInto,
} from "../src/fractal/view";

const SIZE = { width: 800, height: 600 };
const round = (text: string): string => formatDecimal(parseDecimal(text)!);

describe("decimal numbers", () => {
  it("are read and written with all their digits", () => {
    const digits = "-1.74999841099374081749002483162428393452822172335808534616943930976364725846655540417646727";
    expect(round(digits)).toBe(digits);
    expect(round("-0.50")).toBe("-0.5");
    expect(round("1e3")).toBe("1000");
    expect(round("-12.5e-3")).toBe("-0.0125");
    expect(round(".5")).toBe("0.5");
    expect(round("7.")).toBe("7");
    expect(round("-0.0")).toBe("0");
    expect(round("0")).toBe("0");
    expect(round("100")).toBe("100");
  });

  it("refuse what is none", () => {
    for (const text of ["", ".", "-", "1,5", "e5", "0x10", "1e99999", "NaN", "1".repeat(3000)]) {
      expect(parseDecimal(text)).toBeNull();
    }
  });

  it("move by less than a double could", () => {
    const start = parseDecimal("-1.5")!;
    const there = moved(start, 250, 1e280);
    expect(formatDecimal(there)).toBe(`-1.4${"9".repeat(276)}75`);
    expect(distance(there, start, 1e280)).toBeCloseTo(250, 6);
    expect(distance(moved(there, -250, 1e280), start, 1e280)).toBeCloseTo(0, 6);
    expect(distance(moved(start, 0.25, 1), start, 1)).toBeCloseTo(0.25, 6);
    expect(distance(moved(start, -3, 0.1), start, 1)).toBeCloseTo(-30, 6);
  });
});

describe("a view", () => {
  it("lives in the address", () => {
    const views = [
      homeOf("mandelbrot"),
      { ...homeOf("julia"), julia: [-0.4, 0.6] as [number, number], iterations: 500 },
      { ...homeOf("burning-ship"), re: "-1.75", im: "-0.03", zoom: 1e300, palette: "ember" },
    ];
    for (const view of views) expect(parseView(formatView(view))).toEqual(view);
    expect(parseView("")).toEqual(homeOf("mandelbrot"));
    expect(parseView("#kind=x&re=y&zoom=-1&iterations=1e99&palette=%3Cb%3E")).toEqual(homeOf("mandelbrot"));
    expect(formatView({ ...homeOf("mandelbrot"), zoom: 1e300 })).toContain("zoom=1e300");
  });

  it("keeps what is under the mouse when the wheel turns", () => {
    const start = { ...homeOf("mandelbrot"), re: "-0.743", im: "0.131", zoom: 40 };
    for (const at of [
      { x: 0, y: 0 },
      { x: 700, y: 30 },
      { x: 400, y: 300 },
    ]) {
      const before = placeOf(start, SIZE, at);
      const after = placeOf(zoomed(start, SIZE, at, 3), SIZE, at);
      expect(Number(after.re)).toBeCloseTo(Number(before.re), 7);
      expect(Number(after.im)).toBeCloseTo(Number(before.im), 7);
      const out = placeOf(zoomed(start, SIZE, at, 0.25), SIZE, at);
      expect(Number(out.re)).toBeCloseTo(Number(before.re), 7);
    }
    expect(zoomed(start, SIZE, { x: 1, y: 1 }, 1e-9).zoom).toBeGreaterThan(0);
    expect(zoomed({ ...start, zoom: 1e300 }, SIZE, { x: 1, y: 1 }, 1e9).zoom).toBeLessThan(1e302);
  });

  it("goes deep by the wheel without losing its place", () => {
    const at = { x: 123, y: 456 };
    let view = homeOf("mandelbrot");
    for (let i = 0; i < 400; i++) view = zoomed(view, SIZE, at, 2);
    expect(view.zoom).toBeCloseTo(2 ** 400, -110);
    const target = placeOf(homeOf("mandelbrot"), SIZE, at);
    expect(Number(view.re)).toBeCloseTo(Number(target.re), 6);
    expect(view.re.length).toBeGreaterThan(120);
  });

  it("is filled by a box", () => {
    const view = zoomedInto(homeOf("mandelbrot"), SIZE, { x: 600, y: 100, width: 80, height: 40 });
    expect(view.zoom).toBeCloseTo(10, 9);
    expect(Number(view.re)).toBeCloseTo(-0.7 + (640 - 400) * (3 / 600), 7);
    expect(Number(view.im)).toBeCloseTo((300 - 120) * (3 / 600), 7);
  });

  it("runs downwards with the burning ship", () => {
    expect(Number(panned(homeOf("mandelbrot"), SIZE, { x: 0, y: 60 }).im)).toBeCloseTo(-0.3, 9);
    expect(Number(panned(homeOf("burning-ship"), SIZE, { x: 0, y: 60 }).im)).toBeCloseTo(-0.2, 9);
  });

  it("is asked for tile by tile, from the middle", () => {
    const tiles = tilesOf({ width: 600, height: 300 });
    expect(tiles).toHaveLength(6);
    expect(tiles[0]).toMatchObject({ column: 1, row: 0 });
    expect(tiles.reduce((sum, tile) => sum + tile.width * tile.height, 0)).toBe(600 * 300);
    expect(tileUrl(homeOf("mandelbrot"), SIZE, tiles[0]!)).toBe(
      "tile?kind=mandelbrot&re=-0.7&im=0&zoom=1&palette=dusk&width=800&height=600&x=1&y=0",
    );
  });

  it("is drawn by a command", () => {
    expect(commandOf({ ...homeOf("mandelbrot"), zoom: 1e21 }, SIZE)).toBe(
      "sidewinder fractal --size 800x600 --kind mandelbrot --center=-0.7,0 --zoom 1e21 --palette dusk --supersample 2 -o fractal.png",
    );
    expect(commandOf({ ...homeOf("julia"), zoom: 1e3 }, SIZE)).toBe(
      "sidewinder fractal --size 800x600 --kind julia --julia=-0.8,0.156 --center=0,0 --zoom 1000 --palette dusk --supersample 2 -o fractal.png",
    );
  });

  it("is drawn by a command that does not go between the pixels where numbers end", () => {
    const zooms = { mandelbrot: 4e302, julia: 2e12, "burning-ship": 2e12 };
    for (const kind of ["mandelbrot", "julia", "burning-ship"] as const) {
      const near = { ...homeOf(kind), zoom: zooms[kind] };
      expect(commandOf(near, SIZE)).not.toContain("--supersample");
      expect(commandOf({ ...near, zoom: near.zoom / 4 }, SIZE)).toContain("--supersample 2");
    }
  });

  it("overlaps the one before", () => {
    const start = homeOf("mandelbrot");
    expect(overlap(start, start, SIZE)).toEqual({ x: 0, y: 0, scale: 1 });
    expect(overlap(start, zoomed(start, SIZE, { x: 0, y: 0 }, 2), SIZE)).toMatchObject({ scale: 2 });
    const shifted = overlap(start, panned(start, SIZE, { x: 50, y: -20 }), SIZE)!;
    expect(shifted.x).toBeCloseTo(-50, 4);
    expect(shifted.y).toBeCloseTo(20, 4);
    expect(overlap(start, homeOf("julia"), SIZE)).toBeNull();
    expect(overlap(start, { ...start, zoom: 1e20 }, SIZE)).toBeNull();
  });
});
