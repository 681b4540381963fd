/* process.ts - The page of one Python process: key figures, threads with their GIL lanes, flame graph, functions. */
import { formatted, quantity } from "../core/format";
import type {
  FlameNode,
  GilAnswer,
  ProcessInfo,
  ProcessList,
  ProfileAnswer,
  ThreadsAnswer,
} from "../core/processes";
import { baseName, functionsOf } from "../core/processes";
import type { Context } from "./context";
import { arrange, h, icon, setAttribute, setText } from "./dom";
import { Flame } from "./flame";
import { Lanes, threadRows } from "./lanes";
import type { Get } from "./python";

const SPANS = [5, 10, 30, 60] as const; /* seconds */
const FUNCTIONS = 12;

const FIGURES: readonly { title: string; unit: string; of: (p: ProcessInfo) => number | null }[] = [
  { title: "CPU", unit: "%", of: (p) => p.cpu },
  { title: "GIL held", unit: "%", of: (p) => p.gil },
  { title: "Waiters", unit: "", of: (p) => p.waiters },
  { title: "Hand-offs", unit: "/s", of: (p) => p.handoffs },
  { title: "Threads", unit: "", of: (p) => p.threads },
  { title: "RSS", unit: "bytes", of: (p) => p.rss },
  { title: "Collections", unit: "/s", of: (p) => p.collections },
];

const message = (error: unknown): string => (error instanceof Error ? error.message : "no answer");

export class ProcessPage {
  readonly element: HTMLElement;
  private readonly title = h("h2", { "data-testid": "process-title" });
  private readonly about = h("p", { class: "muted process-about" });
  private readonly notice = h("p", { class: "process-notice", role: "status", "data-testid": "process-notice" });
  private readonly figures = new Map<string, { value: HTMLElement; unit: HTMLElement }>();
  private readonly spans = new Map<number, HTMLButtonElement>();
  private readonly functions = h("ol", { class: "functions", "data-testid": "functions" });
  private readonly flameOf = h("span", { class: "muted" });
  private readonly flame: Flame;
  private readonly lanes = new Lanes((tid) => this.pick(tid));
  private readonly details: HTMLElement;
  private pid: number | null = null;
  private seconds: number = 30;
  private tid: number | null = null;
  private profile: ProfileAnswer | null = null;
  private gil: GilAnswer | null = null;
  private threads: ThreadsAnswer | null = null;
  private threadsBefore: ThreadsAnswer | null = null;
  private info: ProcessInfo | null = null;
  private answers = 0;

  constructor(
    context: Context,
    private readonly get: Get,
  ) {
    this.flame = new Flame(context.tooltip);
    this.details = h("div", { class: "process-grid" }, this.threadsPanel(), this.flamePanel(), this.functionsPanel());
    const back = h(
      "button",
      {
        type: "button",
        class: "quiet process-back",
        "data-testid": "process-back",
        onclick: () => context.store.update({ tab: "python", process: null, filter: "" }),
      },
      icon("M9.5 4 5.5 8l4 4"),
      "All processes",
    );
    this.element = h(
      "section",
      { class: "process", "aria-label": "Python process", hidden: true, "data-testid": "process" },
      h("div", { class: "process-head" }, back, this.title, this.about),
      this.figureList(),
      this.notice,
      this.details,
    );
  }

  applyState(pid: number | null, filter: string): void {
    if (pid !== this.pid) {
      this.pid = pid;
      this.forget();
    }
    this.element.hidden = pid === null;
    this.flame.setSearch(filter);
  }

  redraw(): void {
    this.flame.redraw();
    this.lanes.redraw();
  }

  unzoom(): boolean {
    if (this.flame.unzoom()) return true;
    if (this.tid === null) return false;
    this.pick(null);
    return true;
  }

  /* For tests. */
  shown(): { pid: number | null; answers: number; tid: number | null; flame: ReturnType<Flame["shown"]>; lanes: number } {
    return {
      pid: this.pid,
      answers: this.answers,
      tid: this.tid,
      flame: this.flame.shown(),
      lanes: this.gil?.lanes.length ?? 0,
    };
  }

  /* Everything about the process, anew. An answer that comes after the page went to another process is left. */
  async ask(list: ProcessList): Promise<void> {
    const { pid } = this;
    if (pid === null) return;
    const found = list.processes.find((process) => process.pid === pid);
    if (found !== undefined) this.info = found;
    this.paintHead();
    if (found === undefined) return this.say(`Process ${pid} has ended, or is no Python process.`);
    if (found.refusal !== "") {
      this.details.hidden = true;
      return this.say(found.refusal);
    }
    const path = `api/processes/${pid}`;
    const seconds = { seconds: String(this.seconds) };
    try {
      const [profile, gil, threads] = await Promise.all([
        this.get<ProfileAnswer>(`${path}/profile`, seconds),
        this.get<GilAnswer>(`${path}/gil`, seconds),
        this.get<ThreadsAnswer>(`${path}/threads`),
      ]);
      if (pid !== this.pid) return;
      this.profile = profile;
      this.gil = gil;
      this.threadsBefore = this.threads;
      this.threads = threads;
      this.answers++;
      this.details.hidden = false;
      this.say(threads.deadlocks > 0 ? "Deadlock: threads wait for each other and none of them can go on." : "");
      this.paint();
    } catch (error) {
      if (pid === this.pid) this.say(message(error));
    }
  }

  private forget(): void {
    this.tid = null;
    this.info = null;
    this.profile = this.gil = this.threads = this.threadsBefore = null;
    this.answers = 0;
    this.flame.unzoom();
    this.details.hidden = false;
    this.say("");
    this.paintHead();
    this.paint();
  }

  private say(text: string): void {
    setText(this.notice, text);
    this.notice.hidden = text === "";
  }

  private pick(tid: number | null): void {
    this.tid = tid;
    this.paint();
  }

  private figureList(): HTMLElement {
    const list = h("dl", { class: "process-figures", "aria-label": "Key figures" });
    for (const { title } of FIGURES) {
      const [value, unit] = [h("b"), h("span", { class: "unit" })];
      this.figures.set(title, { value, unit });
      list.append(h("div", {}, h("dt", {}, title), h("dd", {}, value, unit)));
    }
    return list;
  }

  private threadsPanel(): HTMLElement {
    return h(
      "section",
      { class: "panel card", "aria-label": "Threads and GIL", "data-testid": "threads" },
      h("h3", {}, "Threads and GIL"),
      this.lanes.element,
    );
  }

  private flamePanel(): HTMLElement {
    const group = h("div", { class: "segmented", role: "group", "aria-label": "Seconds shown" });
    for (const seconds of SPANS) {
      const choose = (): void => {
        this.seconds = seconds;
        this.paintSpans();
      };
      const button = h("button", { type: "button", onclick: choose }, `${seconds}s`);
      this.spans.set(seconds, button);
      group.append(button);
    }
    this.paintSpans();
    return h(
      "section",
      { class: "panel card", "aria-label": "Flame graph" },
      h("div", { class: "flame-head" }, h("h3", {}, "On a CPU"), this.flameOf, group),
      this.flame.element,
    );
  }

  private functionsPanel(): HTMLElement {
    const title = h("h3", {}, "Functions", h("span", {}, "itself · with callees"));
    return h("section", { class: "panel card", "aria-label": "Functions" }, title, this.functions);
  }

  private paintSpans(): void {
    for (const [seconds, button] of this.spans) setAttribute(button, "aria-pressed", String(seconds === this.seconds));
  }

  private paintHead(): void {
    const { info } = this;
    setText(this.title, info?.process ?? (this.pid === null ? "" : `Process ${this.pid}`));
    setText(this.about, info === null ? "" : `Python ${info.version || "?"} · ${info.command}`);
    for (const { title, unit, of } of FIGURES) {
      const figure = this.figures.get(title)!;
      const shown = quantity(info === null ? null : of(info), unit);
      setText(figure.value, shown.text);
      setText(figure.unit, shown.unit === "" ? "" : `\u202f${shown.unit}`);
    }
  }

  private paint(): void {
    const root = this.flame.set(this.profile, this.tid);
    const rows = threadRows(this.threads, this.threadsBefore, this.gil);
    this.lanes.set(rows, this.gil?.has_gil ?? true, this.tid);
    const picked = rows.find((row) => row.tid === this.tid);
    setText(this.flameOf, this.tid === null ? "" : `thread ${picked?.name ?? ""} ${this.tid}`);
    this.paintFunctions(root);
  }

  private paintFunctions(root: FlameNode | null): void {
    const rows = root === null ? [] : functionsOf(root).slice(0, FUNCTIONS);
    const share = (us: number): string => formatted(root === null ? null : (100 * us) / Math.max(1, root.us), "%");
    while (this.functions.children.length < rows.length) {
      this.functions.append(h("li", {}, h("span", { class: "name" }), h("span", { class: "note" }), h("b"), h("em")));
    }
    arrange(this.functions, [...this.functions.children].slice(0, rows.length));
    rows.forEach((row, i) => {
      const [name, note, self, total] = this.functions.children[i]!.children;
      setText(name!, row.name);
      setText(note!, baseName(row.file));
      setAttribute(this.functions.children[i]!, "title", `${row.name} (${row.file})`);
      setText(self!, share(row.selfUs));
      setText(total!, share(row.totalUs));
    });
  }
}
