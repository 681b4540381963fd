/* processes.ts - What /api/processes answers, and flame graphs made of it. */

export const PYTHON_STREAM = "python";

export interface ProcessInfo {
  pid: number;
  process: string;
  command: string;
  version: string;
  is_free_threaded: boolean;
  has_gil: boolean;
  refusal: string; /* why its memory is not read; empty while it is */
  cpu: number | null;
  rss: number | null;
  threads: number | null;
  running: number | null;
  gil: number | null;
  waiters: number | null;
  handoffs: number | null;
  collections: number | null;
  function: string;
}

export interface ProcessList {
  now_ns: number;
  gil_looks_per_s: number;
  stack_looks_per_s: number;
  own_cpu_percent: number | null;
  unreadable: number;
  unfit: number;
  omitted: number;
  processes: ProcessInfo[];
}

export interface FrameInfo {
  name: string;
  file: string;
  line: number;
  kind: "python" | "native" | "mark";
}

export interface ProfileAnswer {
  seconds: number;
  sample_count: number;
  cpu_ms: number;
  frames: FrameInfo[];
  nodes: [parent: number, frame: number][];
  tracks: { tid: number; name: string }[];
  samples: [track: number, node: number, count: number, us: number][];
}

export interface Lane {
  tid: number;
  name: string;
  is_main: boolean;
  held: (number | null)[];
  waited: (number | null)[];
}

export interface GilAnswer {
  has_gil: boolean;
  cell_ms: number;
  start_ms: number;
  cells: number;
  omitted: number;
  lanes: Lane[];
}

export interface ThreadInfo {
  tid: number;
  name: string;
  is_main: boolean;
  state: string;
  words: string;
  cpu_ns: number | null;
  stack: { name: string; file: string; line: number }[];
}

export interface ThreadsAnswer {
  now_ns: number;
  other_threads: number;
  deadlocks: number;
  threads: ThreadInfo[];
}

/* A function as it was called from one place of the tree. `us` and `count` are with all it called. */
export interface FlameNode {
  name: string;
  file: string;
  line: number; /* the line that most samples were at; 0: none */
  kind: FrameInfo["kind"];
  us: number;
  selfUs: number;
  count: number;
  parent: FlameNode | null;
  children: FlameNode[]; /* the heaviest first, equal ones by name */
}

interface Draft extends FlameNode {
  lines: Map<number, number>;
  byKey: Map<string, Draft>;
}

const draft = (frame: FrameInfo, parent: Draft | null): Draft => ({
  name: frame.name,
  file: frame.file,
  line: 0,
  kind: frame.kind,
  us: 0,
  selfUs: 0,
  count: 0,
  parent,
  children: [],
  lines: new Map(),
  byKey: new Map(),
});

function finish(node: Draft): void {
  let most = -1;
  for (const [line, us] of node.lines) if (us > most) [node.line, most] = [line, us];
  node.children.sort((a, b) => b.us - a.us || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const child of node.byKey.values()) finish(child);
}

/* Lines of a function are one node. With `tid` only that thread counts. */
export function buildFlame(answer: ProfileAnswer, tid: number | null = null): FlameNode {
  const root = draft({ name: "all", file: "", line: 0, kind: "mark" }, null);
  const made: Draft[] = [root];
  const lineOf: number[] = [0];
  for (const [parentIndex, frameIndex] of answer.nodes) {
    const parent = made[parentIndex]!;
    const frame = answer.frames[frameIndex]!;
    const key = `${frame.kind}\0${frame.name}\0${frame.file}`;
    let node = parent.byKey.get(key);
    if (node === undefined) parent.byKey.set(key, (node = draft(frame, parent)));
    made.push(node);
    lineOf.push(frame.line);
  }
  for (const [track, index, count, us] of answer.samples) {
    if (tid !== null && answer.tracks[track]?.tid !== tid) continue;
    const leaf = made[index]!;
    leaf.selfUs += us;
    const line = lineOf[index]!;
    if (line > 0) leaf.lines.set(line, (leaf.lines.get(line) ?? 0) + us);
    for (let node: Draft | null = leaf; node !== null; node = node.parent as Draft | null) {
      node.us += us;
      node.count += count;
    }
  }
  for (const node of made) node.children = [...node.byKey.values()].filter((child) => child.us > 0);
  finish(root);
  return root;
}

export interface FlameBox {
  node: FlameNode;
  x: number; /* 0 to 1 */
  width: number;
  depth: number;
}

/* Boxes of what is wide enough to be seen; `zoom` fills the whole width, with its callers above it. */
export function layOutFlame(root: FlameNode, zoom: FlameNode, least: number): FlameBox[] {
  const boxes: FlameBox[] = [];
  const callers: FlameNode[] = [];
  for (let node: FlameNode | null = zoom; node !== null; node = node.parent) callers.unshift(node);
  callers.forEach((node, depth) => boxes.push({ node, x: 0, width: 1, depth }));
  const below = (node: FlameNode, x: number, width: number, depth: number): void => {
    let at = x;
    for (const child of node.children) {
      const part = node.us > 0 ? (width * child.us) / node.us : 0;
      if (part >= least) {
        boxes.push({ node: child, x: at, width: part, depth });
        below(child, at, part, depth + 1);
      }
      at += part;
    }
  };
  if (root.us > 0) below(zoom, 0, 1, callers.length);
  return boxes;
}

export const pathOf = (node: FlameNode): string[] => {
  const path: string[] = [];
  for (let at: FlameNode | null = node; at !== null && at.parent !== null; at = at.parent) {
    path.unshift(`${at.name}\0${at.file}`);
  }
  return path;
};

/* The node that a path leads to in another tree, or as far as it exists there. */
export function follow(root: FlameNode, path: readonly string[]): FlameNode {
  let node = root;
  for (const step of path) {
    const next = node.children.find((child) => `${child.name}\0${child.file}` === step);
    if (next === undefined) break;
    node = next;
  }
  return node;
}

export interface FunctionRow {
  name: string;
  file: string;
  selfUs: number;
  totalUs: number;
}

/* Each function once, recursion counted once; the one that itself ran longest first. */
export function functionsOf(root: FlameNode): FunctionRow[] {
  const rows = new Map<string, FunctionRow>();
  const open = new Map<string, number>();
  const visit = (node: FlameNode): void => {
    const key = `${node.name}\0${node.file}`;
    let row = rows.get(key);
    if (row === undefined) rows.set(key, (row = { name: node.name, file: node.file, selfUs: 0, totalUs: 0 }));
    const depth = open.get(key) ?? 0;
    row.selfUs += node.selfUs;
    if (depth === 0) row.totalUs += node.us;
    open.set(key, depth + 1);
    node.children.forEach(visit);
    open.set(key, depth);
  };
  root.children.forEach(visit);
  return [...rows.values()].sort((a, b) => b.selfUs - a.selfUs || b.totalUs - a.totalUs);
}

export const matches = (node: { name: string; file: string }, search: string): boolean =>
  search !== "" && `${node.name} ${node.file}`.toLowerCase().includes(search);

/* The time in functions that match, callers of a match not counted twice. */
export function matchedUs(root: FlameNode, search: string): number {
  if (search === "") return 0;
  const visit = (node: FlameNode): number =>
    node.parent !== null && matches(node, search) ? node.us : node.children.reduce((sum, one) => sum + visit(one), 0);
  return visit(root);
}

/* Of the cells that were measured; null without any. */
export function meanOf(cells: readonly (number | null)[]): number | null {
  let sum = 0;
  let count = 0;
  for (const cell of cells) {
    if (cell === null) continue;
    sum += cell;
    count++;
  }
  return count === 0 ? null : sum / count;
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
