/* notice.ts - What to say when there is no connection: it is being tried again, or a token is needed. */
import type { LinkState } from "../live/connection";
import { h, setText } from "./dom";

const PATIENCE_MS = 600; /* a reconnect that takes no longer is not worth a line */

export class Notice {
  readonly element: HTMLElement;
  private readonly text = h("span");
  private readonly retry: HTMLButtonElement;
  private readonly form: HTMLFormElement;
  private readonly formText = h("p");
  private readonly input = h("input", {
    type: "password",
    name: "token",
    autocomplete: "off",
    "aria-label": "Token",
    placeholder: "Token",
    required: true,
    "data-testid": "token",
  });
  private readonly bar: HTMLElement;
  private timer = 0;
  private lostAt = 0;
  private state: LinkState = { kind: "connecting" };

  constructor(onRetry: () => void, onToken: (token: string) => void) {
    this.retry = h("button", { type: "button", class: "quiet", onclick: onRetry }, "Retry now");
    this.bar = h("div", { class: "notice", hidden: true, "data-testid": "notice" }, this.text, this.retry);
    this.form = h(
      "form",
      { class: "panel token", hidden: true, "aria-label": "Token" },
      h("h2", {}, "This engine needs a token"),
      this.formText,
      h("div", { class: "token-line" }, this.input, h("button", { type: "submit", class: "primary" }, "Connect")),
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.input.value !== "") onToken(this.input.value);
    });
    this.element = h("div", { class: "notices" }, this.bar, this.form);
  }

  set(state: LinkState): void {
    this.state = state;
    const isToken = state.kind === "token";
    if (isToken && this.form.hidden) queueMicrotask(() => this.input.focus());
    this.form.hidden = !isToken;
    if (state.kind === "token") {
      setText(
        this.formText,
        state.isRefused
          ? "That token was refused."
          : "It was started with --token. The token stays in this browser tab.",
      );
    }
    if (state.kind === "open" || isToken) this.lostAt = 0;
    else if (this.lostAt === 0) this.lostAt = Date.now();
    window.clearInterval(this.timer);
    if (this.lostAt !== 0) this.timer = window.setInterval(() => this.tick(), 200);
    this.tick();
  }

  private tick(): void {
    const isShown = this.lostAt !== 0 && Date.now() - this.lostAt >= PATIENCE_MS;
    if (this.bar.hidden === isShown) this.bar.hidden = !isShown;
    if (!isShown) return;
    const isWaiting = this.state.kind === "waiting";
    const seconds = this.state.kind === "waiting" ? Math.max(0, this.state.untilMs - Date.now()) / 1000 : 0;
    const reason = this.state.kind === "waiting" ? this.state.reason : "";
    setText(
      this.text,
      isWaiting
        ? `No connection to the engine (${reason}). Next try in ${seconds.toFixed(1)} s.`
        : "Connecting to the engine …",
    );
    this.retry.hidden = !isWaiting;
  }
}
