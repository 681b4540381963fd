/* tiles.ts - The figures one looks at first: a number and where it comes from. */
import { quantity } from "../core/format";
import { lastPresent } from "../core/layout";
import type { StreamSpec, TileSpec } from "../core/protocol";
import { ANOMALY_SCORE, keyText } from "../core/protocol";
import type { ChartEntry, ChartWish } from "../live/feed";
import type { Context } from "./context";
import { focusOf } from "./context";
import type { Size } from "./dom";
import { h, setClass, setText } from "./dom";
import { paintNever, paintSoon } from "./frames";
import { drawSpark } from "./spark";

const POINTS = 60;
const GROWING = new Set(["count", "sum", "distinct", "rate"]);

export class Tile {
  readonly element: HTMLElement;
  readonly entry: ChartEntry;
  private readonly number = h("span", { class: "number" }, "–");
  private readonly unit = h("span", { class: "unit" });
  private readonly canvas = h("canvas", { "aria-hidden": "true" });
  private readonly scope = h("span", { class: "tile-scope" });
  private readonly stop: () => void;
  private readonly observer: ResizeObserver;
  private readonly isGrowing: boolean;
  private size: Size = { width: 0, height: 0 };
  private readonly painter = (): void => this.paint();

  constructor(
    private readonly context: Context,
    private readonly stream: StreamSpec,
    private readonly spec: TileSpec,
  ) {
    const fn = stream.aggregates.find((a) => a.name === spec.aggregate)?.function ?? "";
    this.isGrowing = GROWING.has(fn);
    this.entry = context.feed.addChart(this.wish(), stream.window_ns, () => this.repaint());
    this.element = h(
      "div",
      {
        class: "tile",
        role: "listitem",
        "data-testid": `tile-${spec.title}`,
        title: `${stream.title}: ${spec.aggregate}`,
      },
      h("div", { class: "tile-title" }, h("span", {}, spec.title), this.scope),
      h("div", { class: "tile-value" }, this.number, this.unit),
      this.canvas,
    );
    this.stop = context.watch(this.element, (isVisible) => {
      context.feed.show(this.entry, isVisible);
      this.repaint();
    });
    this.observer = new ResizeObserver((entries) => {
      for (const entry of entries) this.size = entry.contentRect;
      this.repaint();
    });
    this.observer.observe(this.canvas);
  }

  destroy(): void {
    this.stop();
    this.observer.disconnect();
    paintNever(this.painter);
  }

  applyState(): void {
    this.context.feed.wishChart(this.entry, this.wish());
  }

  repaint(): void {
    if (this.entry.isVisible) paintSoon(this.painter);
  }

  /* A tile of one key stays what it is; a tile of whatever is greatest follows the focus. */
  private wish(): ChartWish {
    const key = this.spec.key ?? focusOf(this.context, this.stream);
    const wish: ChartWish = {
      stream: this.stream.name,
      aggregates: [this.spec.aggregate],
      top: 1,
      range_s: (POINTS * this.stream.window_ns) / 1e9,
    };
    return key === null || key.length === 0 ? wish : { ...wish, key };
  }

  private paint(): void {
    const { ring } = this.entry;
    const drawn = ring.keys.length === 0 ? 0 : Math.max(0, ring.length - (ring.isLastOpen && this.isGrowing ? 1 : 0));
    const values = drawn === 0 ? new Float64Array(0) : ring.valueView(0, 0);
    const scores = drawn === 0 ? null : ring.scoreView(0);
    const times = ring.timeView();
    const at = lastPresent(values, drawn);
    const shown = quantity(at < 0 ? null : values[at], this.spec.unit);
    setText(this.number, shown.text);
    setText(this.unit, shown.unit);
    setText(this.scope, this.spec.key ? "" : keyText(ring.keys[0] ?? []));
    setClass(this.element, "is-anomaly", at >= 0 && scores![at]! >= ANOMALY_SCORE);
    const last = drawn > 0 ? times[drawn - 1]! : 0;
    const width = ((POINTS - 1) * this.stream.window_ns) / 1e6;
    drawSpark(
      this.canvas,
      this.size,
      { times, values, scores, drawn },
      { min: last - width, max: last },
      this.spec.unit !== "" || this.isGrowing,
    );
  }
}
