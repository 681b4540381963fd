/* context.ts - What the parts of the page share. */
import type { EventStore } from "../core/events";
import { ColourSlots, DARK } from "../core/palette";
import type { Key, StreamSpec } from "../core/protocol";
import { isSameKey } from "../core/protocol";
import type { Store } from "../core/store";
import type { TimeView } from "../core/timeview";
import type { Feed } from "../live/feed";
import type { TimeCursor } from "./cursor";
import type { Tooltip } from "./tooltip";

export interface Context {
  store: Store;
  feed: Feed;
  view: TimeView;
  cursor: TimeCursor;
  events: EventStore;
  tooltip: Tooltip;
  streams(): readonly StreamSpec[];
  colours(stream: string): ColourSlots;
  /* Calls back with whether the element is on screen, or nearly. Returns how to stop. */
  watch(element: Element, seen: (isVisible: boolean) => void): () => void;
  /* The stretch of time moved: what shows time must be painted. */
  viewMoved(): void;
}

export const makeColours = (): ColourSlots => new ColourSlots(DARK.series.length);

/* The key that the stream is narrowed to: a click on a key narrows every stream with the same key columns. */
export function focusOf(context: Context, stream: StreamSpec): Key | null {
  const focus = context.store.state.focus;
  if (focus === null || stream.keys.length !== focus.key.length || stream.keys.length === 0) return null;
  if (focus.stream === stream.name) return focus.key;
  const other = context.streams().find((s) => s.name === focus.stream);
  return other !== undefined && isSameKey(other.keys, stream.keys) ? focus.key : null;
}

export function toggleFocus(context: Context, stream: StreamSpec, key: Key): void {
  const now = focusOf(context, stream);
  context.store.update({ focus: now !== null && isSameKey(now, key) ? null : { stream: stream.name, key } });
}
