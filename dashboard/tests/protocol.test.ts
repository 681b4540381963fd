/* protocol.test.ts - Frames and messages as docs/live-protocol.md writes them, and those that are wrong. */
import { describe, expect, it } from "vitest";
import { decodeFrame, decodeText, isSameKey, keyText } from "../src/core/protocol";
import { makeFrame } from "./frame";

describe("decodeFrame", () => {
  const buffer = makeFrame({
    chart: 513,
    flags: 3,
    times: [1000, 2000],
    values: [
      [
        [1, NaN],
        [3, 4],
      ],
      [
        [5, 6],
        [7, 8],
      ],
      [
        [9, 10],
        [11, 12],
      ],
    ],
    scores: [
      [0, 0.25],
      [0.5, 1],
      [0, 0],
    ],
  });

  it("reads header, times, values and scores", () => {
    const frame = decodeFrame(buffer)!;
    expect(frame).toMatchObject({ chart: 513, isReset: true, isLastOpen: true, series: 3, aggregates: 2, points: 2 });
    expect([...frame.times]).toEqual([1000, 2000]);
    expect([...frame.values]).toEqual([1, NaN, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect([...frame.scores]).toEqual([0, 0.25, 0.5, 1, 0, 0]);
  });

  it("tells the two flags apart", () => {
    const flags = (bits: number) =>
      decodeFrame(makeFrame({ chart: 1, flags: bits, times: [], values: [], scores: [] }))!;
    expect([flags(0).isReset, flags(0).isLastOpen]).toEqual([false, false]);
    expect([flags(1).isReset, flags(1).isLastOpen]).toEqual([true, false]);
    expect([flags(2).isReset, flags(2).isLastOpen]).toEqual([false, true]);
  });

  it("refuses every length but the right one", () => {
    for (let length = 0; length < buffer.byteLength; length++)
      expect(() => decodeFrame(buffer.slice(0, length)), String(length)).toThrow(RangeError);
    const longer = new Uint8Array(buffer.byteLength + 1);
    longer.set(new Uint8Array(buffer));
    expect(() => decodeFrame(longer.buffer)).toThrow(/has \d+ bytes, not \d+/);
  });

  it("refuses counts whose product is beyond the message", () => {
    const huge = buffer.slice(0);
    new DataView(huge).setUint32(4, 0xffffffff, true);
    expect(() => decodeFrame(huge)).toThrow(RangeError);
  });

  it("passes over kinds it does not know", () => {
    const other = buffer.slice(0);
    new Uint8Array(other)[0] = 2;
    expect(decodeFrame(other)).toBeNull();
  });
});

describe("decodeText", () => {
  it("knows the documented messages and no others", () => {
    for (const type of ["hello", "series", "table", "stats", "event"])
      expect(decodeText(JSON.stringify({ type }))).toEqual({ type });
    expect(decodeText('{"type": "later"}')).toBeNull();
    expect(decodeText("[]")).toBeNull();
    expect(decodeText("null")).toBeNull();
    expect(decodeText('"hello"')).toBeNull();
  });

  it("throws where it is no JSON", () => {
    expect(() => decodeText("{")).toThrow(SyntaxError);
  });
});

describe("keys", () => {
  it("are compared by parts, not by their text", () => {
    expect(isSameKey(["a", "b"], ["a", "b"])).toBe(true);
    expect(isSameKey(["a · b"], ["a", "b"])).toBe(false);
    expect(isSameKey([], [])).toBe(true);
    expect(keyText(["eu", "web"])).toBe("eu · web");
  });
});
