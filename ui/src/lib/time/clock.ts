import { useSyncExternalStore } from "react";
import { store } from "../store";

/** How far the server's clock is ahead of this browser's, in milliseconds: the median of the last five answers. */
export const serverOffset = store(0);

const samples: number[] = [];
let sampledAt = 0;

export function setServerDate(date: string | null, roundTrip: number) {
  if (!date || roundTrip > 2_000) return;
  const here = Date.now();
  if (samples.length >= 5 && here - sampledAt < 60_000) return;
  sampledAt = here;
  // The header has whole seconds: on average the server is half a second further.
  samples.push(Date.parse(date) + 500 - (here - roundTrip / 2));
  if (samples.length > 5) samples.shift();
  const sorted = [...samples].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  // Below one second, the difference is the header's rounding.
  serverOffset.set(Math.abs(median) < 1_000 ? 0 : Math.round(median));
}

/** How long ago that was by the clock of this browser. */
export const elapsed = (since: number): number => Date.now() - since;

/** Now by the server's clock. */
export const now = (): number => Date.now() + serverOffset.get();

const listeners = new Set<() => void>();
let tick = 0;
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void) {
  listeners.add(listener);
  timer ??= setInterval(() => {
    tick = now();
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && timer) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** Now by the server's clock, renewed every `seconds`. All components share one timer. */
export function useNow(seconds = 1): number {
  const step = seconds * 1_000;
  const read = () => Math.floor((tick || now()) / step) * step;
  return useSyncExternalStore(subscribe, read);
}
