/* painter.ts - Draws a view on a canvas tile by tile, over what was there before, scaled to its new place. */
import type { Size, Tile, View } from "./view";
import { overlap, tilesOf, tileUrl } from "./view";

const AT_ONCE = 6; /* requests; browsers keep no more connections to one host */

export interface Drawn {
  view: View;
  tiles: number;
  done: number;
  millis: number; /* since the view was asked for */
  computeMillis: number; /* of the server's workers */
  iterations: number;
  maxIterations: number;
  isDeep: boolean;
  error: string;
}

const drawnOf = (view: View, tiles: number): Drawn => ({
  view,
  tiles,
  done: 0,
  millis: 0,
  computeMillis: 0,
  iterations: 0,
  maxIterations: 0,
  isDeep: false,
  error: "",
});

const header = (answer: Response, name: string): number => Number(answer.headers.get(name) ?? 0);

export class Painter {
  drawn: Drawn | null = null;
  private readonly context: CanvasRenderingContext2D;
  private controller = new AbortController();

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly changed: (drawn: Drawn) => void,
  ) {
    this.context = canvas.getContext("2d", { alpha: false })!;
  }

  get size(): Size {
    return { width: this.canvas.width, height: this.canvas.height };
  }

  get isBusy(): boolean {
    return this.drawn !== null && this.drawn.done < this.drawn.tiles && this.drawn.error === "";
  }

  /* Whatever is still on its way for another view is dropped: the server sees the connection close. */
  show(view: View): void {
    this.controller.abort();
    this.controller = new AbortController();
    if (this.drawn) this.place(this.drawn.view, view);
    const tiles = tilesOf(this.size);
    const drawn = drawnOf(view, tiles.length);
    this.drawn = drawn;
    this.changed(drawn);
    void this.paint(drawn, tiles, this.controller.signal);
  }

  resize(size: Size): void {
    if (this.canvas.width !== size.width) this.canvas.width = size.width;
    if (this.canvas.height !== size.height) this.canvas.height = size.height;
  }

  /* What was there, where it is now. */
  private place(before: View, now: View): void {
    const where = overlap(before, now, this.size);
    const { width, height } = this.size;
    if (width === 0 || height === 0) return;
    const copy = document.createElement("canvas");
    copy.width = width;
    copy.height = height;
    copy.getContext("2d")!.drawImage(this.canvas, 0, 0);
    this.context.fillStyle = "#0b0d11";
    this.context.fillRect(0, 0, width, height);
    if (where) this.context.drawImage(copy, where.x, where.y, width * where.scale, height * where.scale);
  }

  private async paint(drawn: Drawn, tiles: Tile[], signal: AbortSignal): Promise<void> {
    const start = performance.now();
    const next = tiles[Symbol.iterator]();
    const size = this.size;
    const work = async (): Promise<void> => {
      for (const tile of { [Symbol.iterator]: () => next }) {
        await this.fetchTile(drawn, size, tile, signal);
        if (signal.aborted || drawn.error) return;
        drawn.millis = performance.now() - start;
        this.changed(drawn);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  private async fetchTile(drawn: Drawn, size: Size, tile: Tile, signal: AbortSignal): Promise<void> {
    try {
      const answer = await fetch(tileUrl(drawn.view, size, tile), { signal });
      if (!answer.ok) {
        drawn.error = (await answer.text()).trim();
        this.changed(drawn);
        return;
      }
      const image = await createImageBitmap(await answer.blob());
      if (signal.aborted) return;
      this.context.drawImage(image, tile.x, tile.y);
      image.close();
      drawn.done++;
      drawn.computeMillis += header(answer, "X-Compute-Us") / 1000;
      drawn.iterations += header(answer, "X-Iterations");
      drawn.maxIterations = header(answer, "X-Max-Iterations");
      drawn.isDeep = header(answer, "X-Deep") === 1;
    } catch (error) {
      if (signal.aborted) return;
      drawn.error = `the server does not answer (${error instanceof Error ? error.message : String(error)})`;
      this.changed(drawn);
    }
  }
}
