/* store.ts - The one place that holds what the user chose; it follows the address and the address follows it. */
import type { ViewState } from "./urlstate";
import { formatState, parseState } from "./urlstate";

type Listener = (state: ViewState, before: ViewState) => void;

/* Going back in the browser undoes these; the others only replace the address. */
const STEPS: readonly (keyof ViewState)[] = ["tab", "focus", "process"];
const WRITE_DELAY_MS = 150; /* browsers allow about 100 changes of the address in 30 s */

export class Store {
  private listeners: Listener[] = [];
  private timer = 0;
  state: ViewState;

  constructor(private readonly win: Window) {
    this.state = parseState(win.location.hash);
    const follow = (): void => {
      if (win.location.hash !== formatState(this.state)) this.adopt(parseState(win.location.hash));
    };
    win.addEventListener("hashchange", follow);
    win.addEventListener("popstate", follow);
  }

  listen(listener: Listener): void {
    this.listeners.push(listener);
  }

  update(patch: Partial<ViewState>): void {
    const before = this.state;
    const changed = (Object.keys(patch) as (keyof ViewState)[]).filter((name) => patch[name] !== before[name]);
    if (changed.length === 0) return;
    if (changed.some((name) => STEPS.includes(name))) {
      this.writeNow();
      this.adopt({ ...before, ...patch });
      this.win.history.pushState(null, "", this.address());
      return;
    }
    this.adopt({ ...before, ...patch });
    if (this.timer === 0) this.timer = this.win.setTimeout(() => this.writeNow(), WRITE_DELAY_MS);
  }

  private adopt(state: ViewState): void {
    const before = this.state;
    this.state = state;
    for (const listener of this.listeners) listener(state, before);
  }

  private writeNow(): void {
    if (this.timer === 0) return;
    this.win.clearTimeout(this.timer);
    this.timer = 0;
    this.win.history.replaceState(null, "", this.address());
  }

  private address(): string {
    return this.win.location.pathname + this.win.location.search + formatState(this.state);
  }
}
