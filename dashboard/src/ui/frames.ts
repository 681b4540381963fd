/* frames.ts - Paints at most once per animation frame, and only who asked for it. */

export type Painter = () => void;

const waiting = new Set<Painter>();
let handle = 0;

function run(): void {
  handle = 0;
  const painters = [...waiting];
  waiting.clear();
  for (const paint of painters) paint();
}

export function paintSoon(painter: Painter): void {
  waiting.add(painter);
  if (handle === 0) handle = requestAnimationFrame(run);
}

export function paintNever(painter: Painter): void {
  waiting.delete(painter);
}
