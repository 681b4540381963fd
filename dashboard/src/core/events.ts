/* events.ts - The event log: bounded, without doubles, newest first. */
import type { EventMessage, Level } from "./protocol";
import { keyText } from "./protocol";

export const MAX_EVENTS = 1000;

export class EventStore {
  private readonly held = new Map<number, EventMessage>();
  version = 0;

  /* The server repeats its last ones after every connect: false for those that are held already. */
  add(event: EventMessage): boolean {
    if (this.held.has(event.id)) return false;
    this.held.set(event.id, event);
    if (this.held.size > MAX_EVENTS) this.held.delete(this.held.keys().next().value!);
    this.version++;
    return true;
  }

  clear(): void {
    this.held.clear();
    this.version++;
  }

  get size(): number {
    return this.held.size;
  }

  all(): IterableIterator<EventMessage> {
    return this.held.values();
  }

  counts(matches: (event: EventMessage) => boolean): Record<Level | "all", number> {
    const counts = { all: 0, anomaly: 0, warn: 0, info: 0 };
    for (const event of this.held.values()) {
      if (!matches(event)) continue;
      counts.all++;
      if (event.level in counts) counts[event.level]++;
    }
    return counts;
  }

  select(matches: (event: EventMessage) => boolean, limit: number): EventMessage[] {
    const chosen: EventMessage[] = [];
    for (const event of [...this.held.values()].reverse()) {
      if (chosen.length >= limit) break;
      if (matches(event)) chosen.push(event);
    }
    return chosen;
  }
}

export function matchesText(event: EventMessage, needle: string): boolean {
  if (needle === "") return true;
  return `${event.text} ${event.stream ?? ""} ${keyText(event.key ?? [])}`.toLowerCase().includes(needle.toLowerCase());
}
