/* timeview.test.ts - Which stretch of event time is shown. */
import { beforeEach, describe, expect, it } from "vitest";
import { TimeView } from "../src/core/timeview";

const cpu = {};
const disk = {};
const BASE = 1e12;
let view: TimeView;

beforeEach(() => {
  view = new TimeView();
  view.setStreams(
    [
      { name: "cpu", window_ns: 1e9 },
      { name: "disk", window_ns: 1e9 },
      { name: "old", window_ns: 1e9 },
    ],
    600,
  );
});

describe("TimeView", () => {
  it("shows nothing without data", () => {
    expect(view.domain("cpu")).toBeNull();
    expect(view.whole()).toBeNull();
  });

  it("ends at the newest data of all streams that are about there", () => {
    view.report("cpu", cpu, BASE, BASE + 100e3);
    view.report("disk", disk, BASE, BASE + 90e3);
    expect(view.domain("disk")).toEqual({ min: BASE, max: BASE + 100e3 });
    expect(view.domain("disk")).toEqual(view.domain("cpu"));
  });

  it("grows from a minute to the range while the job is young", () => {
    view.report("cpu", cpu, BASE, BASE + 5e3);
    expect(view.domain("cpu")).toEqual({ min: BASE - 55e3, max: BASE + 5e3 });
    view.report("cpu", cpu, BASE, BASE + 200e3);
    expect(view.domain("cpu")).toEqual({ min: BASE, max: BASE + 200e3 });
    view.report("cpu", cpu, BASE, BASE + 500e3);
    expect(view.domain("cpu")).toEqual({ min: BASE + 200e3, max: BASE + 500e3 });
    view.range = "1m";
    expect(view.domain("cpu")).toEqual({ min: BASE + 440e3, max: BASE + 500e3 });
  });

  it("gives a stream that is far behind its own view", () => {
    view.report("cpu", cpu, BASE, BASE);
    view.report("old", disk, 0, 50e3);
    expect(view.domain("old")!.max).toBe(50e3);
    expect(view.whole()!.max).toBe(BASE);
  });

  it("says whether the view moved", () => {
    expect(view.report("cpu", cpu, BASE, BASE + 1)).toBe(true);
    expect(view.report("cpu", cpu, BASE, BASE + 1)).toBe(false);
    expect(view.report("cpu", cpu, BASE, BASE + 2)).toBe(true);
  });

  it("stands still while frozen, and lets go", () => {
    view.report("cpu", cpu, BASE, BASE + 1e3);
    view.freeze();
    view.report("cpu", cpu, BASE, BASE + 9e3);
    expect(view.domain("cpu")!.max).toBe(BASE + 1e3);
    view.report("disk", disk, BASE, BASE + 4e3);
    expect(view.domain("cpu")!.max).toBe(BASE + 4e3);
    view.thaw();
    expect(view.domain("cpu")!.max).toBe(BASE + 9e3);
  });

  it("is the zoom while there is one", () => {
    view.report("cpu", cpu, BASE, BASE + 1e3);
    view.zoom = { min: BASE, max: BASE + 10 };
    expect(view.domain("cpu")).toEqual({ min: BASE, max: BASE + 10 });
  });

  it("is what there is of what is kept for all", () => {
    view.range = "all";
    expect(view.rangeSeconds("cpu")).toBe(600);
    view.report("cpu", cpu, BASE, BASE + 60e3);
    expect(view.domain("cpu")).toEqual({ min: BASE, max: BASE + 60e3 });
    view.report("cpu", cpu, BASE, BASE + 7200e3);
    expect(view.domain("cpu")).toEqual({ min: BASE + 6600e3, max: BASE + 7200e3 });
  });
});
