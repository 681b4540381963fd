/* urlstate.test.ts - The view as an address, there and back. */
import { describe, expect, it } from "vitest";
import type { ViewState } from "../src/core/urlstate";
import { DEFAULT_STATE, formatState, parseState } from "../src/core/urlstate";

const FULL: ViewState = {
  tab: "engine",
  range: "15m",
  theme: "light",
  filter: "py & #= ü",
  focus: { stream: "process", key: ["python3 [42]", "a/b&c=d"] },
  sorts: { cpu: { column: "busy", descending: true }, process: { column: "process", descending: false } },
  isPaused: true,
  collapsed: ["disk", "net"],
  zoom: { from: 1381175990000, to: 1381176010000 },
  level: "anomaly",
  process: 4242,
};

describe("the address", () => {
  it("is plain for the plain page", () => {
    expect(formatState(DEFAULT_STATE)).toBe("");
    expect(parseState("")).toEqual(DEFAULT_STATE);
    expect(parseState("#")).toEqual(DEFAULT_STATE);
  });

  it("holds everything", () => {
    expect(parseState(formatState(FULL))).toEqual(FULL);
  });

  it("holds each part alone", () => {
    for (const name of Object.keys(FULL) as (keyof ViewState)[]) {
      const state = { ...DEFAULT_STATE, [name]: FULL[name] };
      expect(parseState(formatState(state)), name).toEqual(state);
    }
  });

  it("is not harmed by nonsense", () => {
    expect(
      parseState("#tab=x&range=9m&theme=pink&zoom=5..1&zoom=a&sort=&sort=:&level=bad&paused=yes&stream=only"),
    ).toEqual(DEFAULT_STATE);
    expect(parseState("#sort=__proto__:-x").sorts["cpu"]).toBeUndefined();
    expect(parseState("#%E0%A4%A").filter).toBe("");
  });

  it("opens the Python tab for a process", () => {
    expect(parseState("#process=42")).toEqual({ ...DEFAULT_STATE, tab: "python", process: 42 });
    expect(formatState({ ...DEFAULT_STATE, tab: "python", process: 42 })).toBe("#process=42");
    expect(formatState({ ...DEFAULT_STATE, tab: "python" })).toBe("#tab=python");
    expect(parseState("#process=-1&process=x").process).toBeNull();
  });

  it("takes a key of no parts for none", () => {
    expect(parseState("#stream=process&key=").focus).toEqual({ stream: "process", key: [""] });
    expect(parseState("#key=a").focus).toBeNull();
  });
});
