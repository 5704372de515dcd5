import { describe, expect, it } from "vitest";
import { factsOf, loadOf, loopsOf, poolsOf, type Service, statusOf, unservedOf, versionsOf } from "./model";

const service = (kind: string, detail: unknown, over: Partial<Service> = {}): Service => ({
  id: kind,
  kind,
  host: "vm",
  pid: 1,
  version: "0.1.0",
  started_at: "2026-11-30T00:00:00Z",
  heartbeat_at: "2026-11-30T00:00:00Z",
  alive: true,
  detail: detail as Service["detail"],
  ...over,
});

const WORKER = {
  pool: "default",
  loops: { claim: { status: "ok" } },
  slots: 32,
  spool: 0,
  status: "ok",
  running: 2,
  isolation: { user: "per_slot" },
};

describe("pools", () => {
  it("adds up live workers and names pools that nobody serves", () => {
    const text = "pool gpu has 14 pending executions and no worker";
    const all = [
      service("worker", WORKER),
      service("worker", WORKER, { id: "dead", alive: false }),
      service("executor", { unserved: [text] }),
    ];
    expect(poolsOf(all)).toMatchObject([{ name: "default", slots: 32, running: 2, workers: [{}, {}] }]);
    expect(unservedOf(all)).toEqual([text]);
  });
  it("reads the queue from a live executor only", () => {
    const detail = {
      events: { pending: 3, quarantined: 1, oldest_seconds: 9 },
      executions: { ready: 1, waiting: 2, running: 3, oldest_seconds: 4 },
    };
    expect(loadOf([service("executor", detail)])).toEqual({
      pending: 3,
      quarantined: 1,
      oldestSeconds: 9,
      ready: 1,
      waiting: 2,
      running: 3,
      oldestExecutionSeconds: 4,
    });
    expect(loadOf([service("executor", detail, { alive: false })])).toBeUndefined();
  });
  it("describes services", () => {
    expect(loopsOf(service("worker", WORKER))).toEqual([{ name: "claim", status: "ok" }]);
    expect(statusOf(service("worker", WORKER, { alive: false }))).toBe("does not report");
    expect(factsOf(service("worker", WORKER))).toEqual([
      "pool default",
      "2 of 32 slots",
      "actions run as users of their own",
    ]);
    expect(factsOf(service("sensor", { timers: { active: 7, error: 1 }, clock_skew_ms: 3 }))).toEqual([
      "7 timers active",
      "1 in error",
      "clock 3 ms from the database",
    ]);
    expect(versionsOf([service("api", {}), service("worker", {}, { version: "0.2.0" })])).toEqual(["0.1.0", "0.2.0"]);
  });
});
