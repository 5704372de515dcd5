import type { components } from "../../gen/api";

export type Service = components["schemas"]["Service"];

export interface Pool {
  name: string;
  slots: number;
  running: number;
  spool: number;
  workers: Service[];
}

type Detail = Record<string, unknown>;
const detailOf = (service: Service): Detail =>
  service.detail != null && typeof service.detail === "object" ? (service.detail as Detail) : {};
const number = (value: unknown): number => (typeof value === "number" ? value : 0);

/** Workers by pool. Only live workers count as capacity. */
export function poolsOf(services: readonly Service[]): Pool[] {
  const pools = new Map<string, Pool>();
  const pool = (name: string): Pool => {
    const found = pools.get(name) ?? { name, slots: 0, running: 0, spool: 0, workers: [] };
    pools.set(name, found);
    return found;
  };
  for (const service of services) {
    if (service.kind !== "worker") continue;
    const detail = detailOf(service);
    const into = pool(typeof detail.pool === "string" ? detail.pool : "default");
    into.workers.push(service);
    if (!service.alive) continue;
    into.slots += number(detail.slots);
    into.running += number(detail.running);
    into.spool += number(detail.spool);
  }
  return [...pools.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** Pools that executions wait for and no worker serves, in the server's words. */
export function unservedOf(services: readonly Service[]): string[] {
  const said = services
    .filter((s) => s.kind === "executor" && s.alive)
    .flatMap((s) => (Array.isArray(detailOf(s).unserved) ? (detailOf(s).unserved as unknown[]) : []));
  return [...new Set(said.map(String))];
}

export interface Load {
  pending: number;
  quarantined: number;
  oldestSeconds: number;
  ready: number;
  waiting: number;
  running: number;
  oldestExecutionSeconds: number;
}

/** The queue as the newest live executor reported it. */
export function loadOf(services: readonly Service[]): Load | undefined {
  const executor = services
    .filter((s) => s.kind === "executor" && s.alive)
    .sort((a, b) => b.heartbeat_at.localeCompare(a.heartbeat_at))[0];
  if (executor == null) return undefined;
  const { events, executions } = detailOf(executor) as { events?: Detail; executions?: Detail };
  return {
    pending: number(events?.pending),
    quarantined: number(events?.quarantined),
    oldestSeconds: number(events?.oldest_seconds),
    ready: number(executions?.ready),
    waiting: number(executions?.waiting),
    running: number(executions?.running),
    oldestExecutionSeconds: number(executions?.oldest_seconds),
  };
}

export interface Loop {
  name: string;
  status: string;
  text?: string;
}

export function loopsOf(service: Service): Loop[] {
  const loops = detailOf(service).loops;
  if (loops == null || typeof loops !== "object") return [];
  return Object.entries(loops as Record<string, Detail>).map(([name, of]) => ({
    name,
    status: String(of.status ?? "unknown"),
    ...(typeof of.reason === "string" ? { text: of.reason } : {}),
  }));
}

export function statusOf(service: Service): string {
  if (!service.alive) return "does not report";
  return String(detailOf(service).status ?? "unknown");
}

/** What a service says about itself, in a few words. */
export function factsOf(service: Service): string[] {
  const detail = detailOf(service);
  if (service.kind === "sensor") {
    const timers = (detail.timers ?? {}) as Detail;
    const facts = [`${number(timers.active)} timers active`];
    if (number(timers.error) > 0) facts.push(`${number(timers.error)} in error`);
    if (number(timers.overdue) > 0) facts.push(`${number(timers.overdue)} overdue`);
    facts.push(`clock ${number(detail.clock_skew_ms)} ms from the database`);
    return facts;
  }
  if (service.kind === "worker") {
    const isolation = (detail.isolation ?? {}) as Detail;
    const facts = [
      `pool ${String(detail.pool ?? "default")}`,
      `${number(detail.running)} of ${number(detail.slots)} slots`,
    ];
    if (number(detail.spool) > 0) facts.push(`${number(detail.spool)} results not delivered yet`);
    facts.push(isolation.user == null ? "actions run as the worker's user" : "actions run as users of their own");
    return facts;
  }
  if (service.kind === "api") {
    const rejected = Object.values((detail.webhooks_rejected ?? {}) as Record<string, unknown>).reduce<number>(
      (sum, n) => sum + number(n),
      0,
    );
    return rejected > 0
      ? [`${rejected} webhook ${rejected === 1 ? "request" : "requests"} rejected since the start`]
      : [];
  }
  return [];
}

/** More than one version is running. */
export function versionsOf(services: readonly Service[]): string[] {
  return [...new Set(services.filter((s) => s.alive).map((s) => s.version))].sort();
}
