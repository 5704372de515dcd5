import { ms } from "../../lib/time";
import type { Rule, Service, Timer } from "./api";

export interface Upcoming {
  ref: string;
  at: string;
  /** What its rules run. */
  starts: string[];
}

/** The next occurrences, of timers that start something first. */
export function upcoming(timers: readonly Timer[], rules: readonly Rule[], now: number, count: number): Upcoming[] {
  const starts = new Map<string, string[]>();
  for (const rule of rules) {
    if (rule.enabled) starts.set(rule.trigger_ref, [...(starts.get(rule.trigger_ref) ?? []), rule.action_ref]);
  }
  return timers
    .filter((timer) => timer.enabled && timer.next_fire_at !== null && ms(timer.next_fire_at) > now - 60_000)
    .map((timer) => ({
      ref: timer.trigger_ref,
      at: timer.next_fire_at ?? "",
      starts: starts.get(timer.trigger_ref) ?? [],
    }))
    .sort((a, b) => Number(b.starts.length > 0) - Number(a.starts.length > 0) || ms(a.at) - ms(b.at))
    .slice(0, count)
    .sort((a, b) => ms(a.at) - ms(b.at));
}

export interface Load {
  workers: number;
  slots: number;
  running: number;
  ready: number;
  waiting: number;
  oldestSeconds: number;
  eventsPending: number;
  quarantined: number;
  maxLatenessMs: number | undefined;
  down: string[];
}

const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const object = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};

/** The numbers of all services in one. */
export function loadOf(services: readonly Service[]): Load {
  const alive = services.filter((service) => service.alive);
  const details = (kind: string) =>
    alive.filter((service) => service.kind === kind).map((service) => object(service.detail));
  const workers = details("worker");
  const executor = details("executor")[0] ?? {};
  const executions = object(executor.executions);
  const events = object(executor.events);
  const late = object(details("sensor")[0]?.timers).max_lateness_ms_1m;
  const kinds = ["api", "sensor", "executor", "worker"];
  return {
    workers: workers.length,
    slots: workers.reduce((sum, detail) => sum + number(detail.slots), 0),
    running: workers.reduce((sum, detail) => sum + number(detail.running), 0),
    ready: number(executions.ready),
    waiting: number(executions.waiting),
    oldestSeconds: number(executions.oldest_seconds),
    eventsPending: number(events.pending),
    quarantined: number(events.quarantined),
    maxLatenessMs: typeof late === "number" ? late : undefined,
    down: kinds.filter((kind) => !alive.some((service) => service.kind === kind)),
  };
}
