/* palette.test.ts - Both themes are legible, and colours of series stay with their keys. */
import { describe, expect, it } from "vitest";
import { ColourSlots, contrast, DARK, LIGHT } from "../src/core/palette";

describe.each([DARK, LIGHT])("$name", (palette) => {
  const grounds = [palette.bg, palette.panel, palette.raised];

  it.each(["text", "muted", "faint", "accent", "warn", "anomaly", "ok", "brand"] as const)(
    "%s is read on every ground (4.5 : 1)",
    (name) => {
      for (const ground of grounds) expect(contrast(palette[name], ground), ground).toBeGreaterThanOrEqual(4.5);
    },
  );

  it("buttons in the accent colour are read", () => {
    expect(contrast(palette.bg, palette.accent)).toBeGreaterThanOrEqual(4.5);
  });

  it("lines are seen (3 : 1) and differ", () => {
    for (const colour of palette.series) expect(contrast(colour, palette.panel), colour).toBeGreaterThanOrEqual(3);
    expect(new Set(palette.series).size).toBe(palette.series.length);
  });
});

it("both themes have the same number of series colours", () => {
  expect(LIGHT.series.length).toBe(DARK.series.length);
});

it("contrast is that of WCAG", () => {
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21, 5);
  expect(contrast("#777777", "#ffffff")).toBeCloseTo(4.48, 2);
});

describe("ColourSlots", () => {
  it("keeps a key's colour when others come and go", () => {
    const slots = new ColourSlots(8);
    const [a, b] = slots.assign(["a", "b"]);
    expect(slots.assign(["c", "b", "a"]).slice(1)).toEqual([b, a]);
  });

  it("gives no colour twice in one chart while there are enough", () => {
    const slots = new ColourSlots(4);
    for (let i = 0; i < 200; i++) {
      const keys = [0, 1, 2, 3].map((j) => `k${(i * 7 + j * 3) % 41}`);
      expect(new Set(slots.assign([...new Set(keys)])).size).toBe(new Set(keys).size);
    }
  });

  it("does not end where there are more keys than colours", () => {
    expect(new ColourSlots(2).assign(["a", "b", "c", "d"])).toHaveLength(4);
  });

  it("remembers a bounded number of keys", () => {
    const slots = new ColourSlots(8);
    for (let i = 0; i < 5000; i++) slots.assign([`key ${i}`]);
    expect((slots as unknown as { slots: Map<string, number> }).slots.size).toBeLessThanOrEqual(512);
  });
});
