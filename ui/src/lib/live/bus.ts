import type { Frame } from "./frame";

export type Listener = (frames: readonly Frame[]) => void;

const listeners = new Set<Listener>();
const gapListeners = new Set<() => void>();
let batch: Frame[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

/** Frames are handed on together, four times per second. */
export const batchMs = 250;

export function publish(frame: Frame) {
  batch.push(frame);
  timer ??= setTimeout(flush, batchMs);
}

function flush() {
  timer = undefined;
  const frames = batch;
  batch = [];
  for (const listener of [...listeners]) listener(frames);
}

export function publishGap() {
  for (const listener of [...gapListeners]) listener();
}

export function onFrames(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function onGap(listener: () => void): () => void {
  gapListeners.add(listener);
  return () => gapListeners.delete(listener);
}
