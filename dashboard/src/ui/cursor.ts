/* cursor.ts - The one time that all charts, the ribbon and the legends point at. */

type Listener = (time: number | null) => void;

export class TimeCursor {
  time: number | null = null;
  private listeners = new Set<Listener>();

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  set(time: number | null): void {
    if (time === this.time) return;
    this.time = time;
    for (const listener of this.listeners) listener(time);
  }
}
