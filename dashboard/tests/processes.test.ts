/* processes.test.ts - Flame graphs made of what the engine answers, and the order of threads and processes. */
import { describe, expect, it } from "vitest";
import type { GilAnswer, Lane, ProcessInfo, ProfileAnswer, ThreadsAnswer } from "../src/core/processes";
import {
  buildFlame,
  follow,
  functionsOf,
  layOutFlame,
  matchedUs,
  meanOf,
  pathOf,
} from "../src/core/processes";

const frame = (name: string, line: number, file = "/srv/app.py"): ProfileAnswer["frames"][number] => ({
  name,
  file,
  line,
  kind: "python",
});

/* main calls work at two lines and idle; work calls itself once. */
const ANSWER: ProfileAnswer = {
  seconds: 30,
  sample_count: 10,
  cpu_ms: 100,
  frames: [frame("main", 1), frame("work", 10), frame("work", 11), frame("idle", 5, "/usr/lib/idle.py")],
  nodes: [
    [0, 0],
    [1, 1],
    [1, 2],
    [3, 1],
    [1, 3],
  ],
  tracks: [
    { tid: 7, name: "main" },
    { tid: 8, name: "other" },
  ],
  samples: [
    [0, 2, 1, 10_000],
    [0, 3, 2, 20_000],
    [0, 4, 3, 30_000],
    [1, 5, 4, 40_000],
  ],
};

describe("a flame graph", () => {
  it("joins the lines of a function and sums up", () => {
    const root = buildFlame(ANSWER);
    expect(root.us).toBe(100_000);
    expect(root.count).toBe(10);
    const main = root.children[0]!;
    expect([main.name, main.us, main.selfUs]).toEqual(["main", 100_000, 0]);
    expect(main.children.map((child) => [child.name, child.us, child.selfUs, child.line])).toEqual([
      ["work", 60_000, 30_000, 11],
      ["idle", 40_000, 40_000, 5],
    ]);
    expect(main.children[0]!.children.map((child) => [child.name, child.us])).toEqual([["work", 30_000]]);
  });

  it("shows one thread alone", () => {
    const root = buildFlame(ANSWER, 8);
    expect(root.us).toBe(40_000);
    expect(root.children[0]!.children.map((child) => child.name)).toEqual(["idle"]);
    expect(buildFlame(ANSWER, 99).us).toBe(0);
  });

  it("lays boxes out in the width of their callers", () => {
    const root = buildFlame(ANSWER);
    const boxes = layOutFlame(root, root, 0);
    expect(boxes.map((box) => [box.node.name, box.x, box.width, box.depth])).toEqual([
      ["all", 0, 1, 0],
      ["main", 0, 1, 1],
      ["work", 0, 0.6, 2],
      ["work", 0, 0.3, 3],
      ["idle", 0.6, 0.4, 2],
    ]);
    expect(layOutFlame(root, root, 0.5).map((box) => box.node.name)).toEqual(["all", "main", "work"]);
  });

  it("keeps a zoom over new data", () => {
    const before = buildFlame(ANSWER);
    const path = pathOf(before.children[0]!.children[1]!);
    const root = buildFlame(ANSWER);
    const zoom = follow(root, path);
    expect(zoom.name).toBe("idle");
    expect(layOutFlame(root, zoom, 0).map((box) => [box.node.name, box.width])).toEqual([
      ["all", 1],
      ["main", 1],
      ["idle", 1],
    ]);
    expect(follow(buildFlame({ ...ANSWER, samples: [] }), path).name).toBe("all");
  });

  it("counts recursion once", () => {
    const root = buildFlame(ANSWER);
    expect(functionsOf(root).map((row) => [row.name, row.selfUs, row.totalUs])).toEqual([
      ["work", 60_000, 60_000],
      ["idle", 40_000, 40_000],
      ["main", 0, 100_000],
    ]);
    expect(matchedUs(root, "work")).toBe(60_000);
    expect(matchedUs(root, "/usr/lib")).toBe(40_000);
    expect(matchedUs(root, "nothing")).toBe(0);
    expect(matchedUs(root, "")).toBe(0);
  });
});

describe("what was not measured", () => {
  it("is no zero", () => {
    expect(meanOf([])).toBeNull();
    expect(meanOf([null, null])).toBeNull();
    expect(meanOf([null, 10, 30])).toBe(20);
  });
});

describe("threads and processes", async () => {
  /* The modules of ui/ ask the browser for its theme as they load. */
  const global = globalThis as Record<string, unknown>;
  global["window"] ??= { matchMedia: () => ({ matches: false, addEventListener: () => undefined }) };
  const { threadRows } = await import("../src/ui/lanes");
  const { isShown, sortProcesses } = await import("../src/ui/python");

  const thread = (tid: number, cpu_ns: number): ThreadsAnswer["threads"][number] => ({
    tid,
    name: `t${tid}`,
    is_main: tid === 1,
    state: "running",
    words: "running",
    cpu_ns,
    stack: [],
  });
  const lane = (tid: number, held: number): Lane => ({ tid, name: `t${tid}`, is_main: tid === 1, held: [held], waited: [0] });
  const gil: GilAnswer = { has_gil: true, cell_ms: 100, start_ms: 0, cells: 1, omitted: 0, lanes: [lane(2, 5), lane(3, 90), lane(9, 99)] };
  const answer = (now_ns: number, cpu_ns: number): ThreadsAnswer => ({
    now_ns,
    other_threads: 0,
    deadlocks: 0,
    threads: [thread(1, 0), thread(2, 0), thread(3, cpu_ns)],
  });

  it("puts the main thread first and ended ones last", () => {
    const rows = threadRows(answer(2e9, 5e8), answer(1e9, 0), gil);
    expect(rows.map((row) => row.tid)).toEqual([1, 3, 2, 9]);
    expect(rows.map((row) => row.cpu)).toEqual([0, 50, 0, null]);
    expect(rows[3]!.info).toBeNull();
    expect(threadRows(answer(1e9, 0), null, null).map((row) => row.cpu)).toEqual([null, null, null]);
    expect(threadRows(null, null, null)).toEqual([]);
  });

  const process = (pid: number, cpu: number | null, name: string): ProcessInfo => ({
    pid,
    process: `${name} [${pid}]`,
    command: `python3 /srv/${name}`,
    version: "3.13.5",
    is_free_threaded: false,
    has_gil: true,
    refusal: "",
    cpu,
    rss: 1,
    threads: 1,
    running: 0,
    gil: cpu,
    waiters: 0,
    handoffs: 0,
    collections: 0,
    function: "",
  });

  it("sorts by any column, what is absent last", () => {
    const list = [process(1, 5, "b.py"), process(2, null, "a.py"), process(3, 50, "c.py"), process(4, 5, "d.py")];
    expect(sortProcesses(list, "cpu", true).map((p) => p.pid)).toEqual([3, 1, 4, 2]);
    expect(sortProcesses(list, "cpu", false).map((p) => p.pid)).toEqual([1, 4, 3, 2]);
    expect(sortProcesses(list, "process", false).map((p) => p.pid)).toEqual([2, 1, 3, 4]);
    expect(list.filter((p) => isShown(p, "c.py")).map((p) => p.pid)).toEqual([3]);
  });
});
