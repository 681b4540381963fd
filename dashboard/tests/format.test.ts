/* format.test.ts - Numbers as people read them. */
import { describe, expect, it } from "vitest";
import { axisLabels, decimalsOf, duration, formatted, joined } from "../src/core/format";

const text = (value: number | null, unit: string, span?: number): string =>
  formatted(value, unit, span).replace("\u202f", " ");

describe("formatted", () => {
  it.each([
    [12.345, "%", "12.3 %"],
    [99.97, "%", "100 %"],
    [813.2, "%", "813 %"],
    [0, "%", "0.0 %"],
    [0, "bytes", "0 B"],
    [1023, "bytes", "1023 B"],
    [1024, "bytes", "1.00 KiB"],
    [1023.9 * 1024, "bytes", "1.00 MiB"],
    [15.25 * 2 ** 30, "bytes", "15.3 GiB"],
    [2 ** 63, "bytes", "8192 PiB"],
    [45.6e6, "bytes/s", "43.5 MiB/s"],
    [999, "/s", "999 /s"],
    [1234, "/s", "1.23 k/s"],
    [0.5, "/s", "0.50 /s"],
    [15.2e6, "/s", "15.2 M/s"],
    [1234567, "", "1,234,567"],
    [12345678, "", "12.3 M"],
    [486512, "", "486,512"],
    [0.53333, "", "0.533"],
    [1.38742, "", "1.39"],
    [-3.5, "", "\u22123.50"],
    [0.0000123, "", "0.0000123"],
    [null, "%", "–"],
    [NaN, "bytes", "–"],
    [Infinity, "", "∞"],
  ])("%d in %s is %s", (value, unit, expected) => {
    expect(text(value, unit)).toBe(expected);
  });

  it("shows the digits in which neighbours differ", () => {
    expect(text(1.387421, "", 0.0004)).toBe("1.387421");
    expect(text(486512.25, "", 3000)).toBe("486,512");
    expect(decimalsOf(0)).toBe(0);
  });

  it("never shows a minus before a zero", () => {
    expect(text(-0.001, "%")).toBe("0.0 %");
  });
});

describe("duration", () => {
  it.each([
    [0, "0 ms"],
    [0.0008, "800 ns"],
    [0.0421, "42.1 µs"],
    [0.9999, "1.00 ms"],
    [62.81, "62.8 ms"],
    [999.7, "1.00 s"],
    [61e3, "61.0 s"],
    [3600e3, "60.0 min"],
    [86400e3, "24.0 h"],
    [12 * 365.25 * 86400e3, "12.0 y"],
  ])("%d ms is %s", (ms, expected) => {
    expect(joined(duration(ms)).replace("\u202f", " ")).toBe(expected);
  });

  it("converts the other units", () => {
    expect(text(1.5, "s")).toBe("1.50 s");
    expect(text(2500, "ns")).toBe("2.50 µs");
  });
});

describe("axisLabels", () => {
  it("gives all ticks the prefix of the greatest", () => {
    expect(axisLabels([0, 2 ** 29, 2 ** 30], "bytes")).toEqual(["0", "0.5G", "1.0G"]);
    expect(axisLabels([0, 50000, 100000], "/s")).toEqual(["0", "50k", "100k"]);
    expect(axisLabels([0, 25, 50], "%")).toEqual(["0", "25", "50"]);
    expect(axisLabels([0, 0.25, 0.5], "")).toEqual(["0", "0.25", "0.50"]);
    expect(axisLabels([0, 2.5, 5], "%")).toEqual(["0", "2.5", "5.0"]);
    expect(axisLabels([0, 25, 50], "ms")).toEqual(["0", "25ms", "50ms"]);
    expect(axisLabels([0, 1000, 2000], "ms")).toEqual(["0", "1s", "2s"]);
    expect(axisLabels([484000, 486000], "")).toEqual(["484,000", "486,000"]);
    expect(axisLabels([1.3872, 1.3874], "")).toEqual(["1.3872", "1.3874"]);
    expect(axisLabels([-10, 0, 10], "")).toEqual(["\u221210", "0", "10"]);
    expect(axisLabels([], "")).toEqual([]);
  });
});
