/* connection.ts - Keeps one WebSocket to the engine open, whatever happens to either side. */
import type { Layout, ServerMessage, SeriesFrame } from "../core/protocol";
import { decodeFrame, decodeText } from "../core/protocol";

export type LinkState =
  | { kind: "connecting" }
  | { kind: "open" }
  | { kind: "waiting"; untilMs: number; reason: string }
  | { kind: "token"; isRefused: boolean };

export interface LinkHandlers {
  state(state: LinkState): void;
  /* Before the first message of a connection, and again when another engine answers. */
  layout(layout: Layout): void;
  /* The server said hello: subscribe now. */
  open(): void;
  message(message: Exclude<ServerMessage, { type: "hello" }>): void;
  frame(frame: SeriesFrame): void;
}

export const FIRST_DELAY_MS = 250;
export const LAST_DELAY_MS = 5000;
const SILENCE_MS = 10e3; /* stats come twice a second */
const ANSWER_MS = 5000;
const STEADY_MS = 2000; /* a connection that lived so long was a good one */
const TOKEN_ENTRY = "sidewinder-token";

/* A quarter of a second, doubled up to five; a fifth of chance, so that many pages do not come back as one. */
export function retryDelay(failures: number, random: () => number = Math.random): number {
  const delay = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, failures - 1));
  return Math.max(FIRST_DELAY_MS, Math.min(LAST_DELAY_MS, delay * (0.9 + 0.2 * random())));
}

/* The token leaves the address at once, where it could be seen, and stays with this browser tab. */
function takeToken(): string {
  const url = new URL(location.href);
  const given = url.searchParams.get("token");
  if (given === null) return sessionStorage.getItem(TOKEN_ENTRY) ?? "";
  sessionStorage.setItem(TOKEN_ENTRY, given);
  url.searchParams.delete("token");
  history.replaceState(null, "", url.pathname + url.search + url.hash);
  return given;
}

export class Connection {
  private socket: WebSocket | null = null;
  private failures = 0;
  private timer = 0;
  private watchdog = 0;
  private openedMs: number | null = null;
  private startedNs: number | null = null;
  private token = takeToken();
  isQuiet = false; /* paused: silence is no failure */
  state: LinkState = { kind: "connecting" };

  constructor(private readonly handlers: LinkHandlers) {}

  start(): void {
    void this.attempt();
  }

  retryNow(): void {
    if (this.state.kind !== "waiting") return;
    window.clearTimeout(this.timer);
    void this.attempt();
  }

  useToken(token: string): void {
    this.token = token;
    sessionStorage.setItem(TOKEN_ENTRY, token);
    void this.attempt();
  }

  /* False where there is no connection; what matters is sent again after the next hello. */
  send(message: object): boolean {
    if (this.state.kind !== "open" || this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /* An answer of the engine as JSON. Throws an Error with the engine's own words where it declines. */
  async get<Answer>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const abort = new AbortController();
    const timer = window.setTimeout(() => abort.abort(), ANSWER_MS);
    const url = this.address(path);
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    try {
      const response = await fetch(url, { cache: "no-store", signal: abort.signal });
      if (!response.ok) throw new Error((await response.text()).trim() || `the engine answers ${response.status}`);
      return (await response.json()) as Answer;
    } finally {
      window.clearTimeout(timer);
    }
  }

  private setState(state: LinkState): void {
    this.state = state;
    this.handlers.state(state);
  }

  private address(path: string): URL {
    const url = new URL(path, location.href);
    url.hash = "";
    url.search = this.token === "" ? "" : `?token=${encodeURIComponent(this.token)}`;
    return url;
  }

  /* False where the connection cannot go on. */
  private async fetchLayout(): Promise<boolean> {
    const abort = new AbortController();
    const timer = window.setTimeout(() => abort.abort(), ANSWER_MS);
    try {
      const response = await fetch(this.address("api/streams"), { cache: "no-store", signal: abort.signal });
      if (response.status === 401) {
        this.setState({ kind: "token", isRefused: this.token !== "" });
        return false;
      }
      if (!response.ok) throw new Error(`the engine answers ${response.status}`);
      const layout = (await response.json()) as Layout;
      this.startedNs = layout.job.started_ns;
      this.handlers.layout(layout);
      return true;
    } catch (error) {
      this.fail(error instanceof Error && !(error instanceof TypeError) ? error.message : "no answer");
      return false;
    } finally {
      window.clearTimeout(timer);
    }
  }

  private async attempt(): Promise<void> {
    this.setState({ kind: "connecting" });
    if (!(await this.fetchLayout())) return;
    const url = this.address("live");
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.receive(socket, event.data);
    socket.onclose = (event) => this.drop(socket, event.reason || "connection lost");
    this.watch(socket, ANSWER_MS);
  }

  private receive(socket: WebSocket, data: string | ArrayBuffer): void {
    if (socket !== this.socket) return;
    this.watch(socket, SILENCE_MS);
    if (typeof data !== "string") {
      const frame = decodeFrame(data);
      if (frame !== null) this.handlers.frame(frame);
      return;
    }
    const message = decodeText(data);
    if (message === null) return;
    if (message.type === "hello") void this.greet(socket, message.started_ns);
    else this.handlers.message(message);
  }

  private async greet(socket: WebSocket, startedNs: number): Promise<void> {
    if (startedNs !== this.startedNs && !(await this.fetchLayout())) {
      this.socket = null;
      socket.close();
      return;
    }
    if (socket !== this.socket) return;
    this.openedMs = Date.now();
    this.setState({ kind: "open" });
    this.handlers.open();
  }

  private watch(socket: WebSocket, limitMs: number): void {
    window.clearTimeout(this.watchdog);
    this.watchdog = window.setTimeout(() => {
      if (this.isQuiet && this.state.kind === "open") return;
      this.drop(socket, "the engine is silent");
    }, limitMs);
  }

  private drop(socket: WebSocket, reason: string): void {
    if (socket !== this.socket) return;
    this.socket = null;
    socket.onclose = null;
    socket.close();
    this.fail(reason);
  }

  private fail(reason: string): void {
    window.clearTimeout(this.watchdog);
    window.clearTimeout(this.timer);
    if (this.openedMs !== null && Date.now() - this.openedMs >= STEADY_MS) this.failures = 0;
    this.openedMs = null;
    this.failures++;
    const delay = retryDelay(this.failures);
    this.setState({ kind: "waiting", untilMs: Date.now() + delay, reason });
    this.timer = window.setTimeout(() => void this.attempt(), delay);
  }
}
