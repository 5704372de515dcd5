import { describe, expect, it } from "vitest";
import { fieldErrors } from "../../kit/problems";
import { ProblemError } from "../../lib/http/problem";
import { layout, ticksOf, totals } from "./ledger";
import {
  configOf,
  countStates,
  draftOf,
  emptyDraft,
  FIELDS,
  matches,
  stateOf,
  type Timer,
  type TimerConfig,
} from "./model";
import { cronWords, everySeconds, scheduleWords, zoneShort } from "./words";

const CONFIGS: TimerConfig[] = [
  { type: "interval", seconds: 10 },
  { type: "interval", minutes: 5, misfire: "skip", grace_seconds: 30 },
  { type: "interval", hours: 2, anchor: "2026-01-01T00:30:00Z", spread_seconds: 60 },
  { type: "cron", expression: "30 2 * * *", timezone: "Europe/Berlin" },
  { type: "cron", expression: "@daily", timezone: "UTC", dst_gap: "skip", dst_overlap: "both", misfire: "latest" },
  { type: "one_shot", fire_at: "2027-01-20T15:00:00Z" },
  { type: "one_shot", fire_at: "2020-01-20T15:00:00Z", allow_past: true, max_age_seconds: 60 },
  {
    type: "cron",
    expression: "0 9 * * 1",
    timezone: "UTC",
    start_at: "2026-12-01T00:00:00Z",
    end_at: "2027-12-01T00:00:00Z",
    catchup_max: 5,
    catchup_window_seconds: 600,
  },
];

describe("form", () => {
  it.each(CONFIGS)("round-trips %j", (config) => {
    expect(configOf(draftOf(config, "Europe/Berlin"))).toEqual(config);
  });

  it("adds up the parts of an interval", () => {
    expect(configOf(draftOf({ type: "interval", hours: 1, minutes: 30 }, "UTC"))).toEqual({
      type: "interval",
      minutes: 90,
    });
  });

  it("keeps fields that it does not show", () => {
    const config = { type: "interval", seconds: 10, calendar: "work" } as unknown as TimerConfig;
    expect(configOf(draftOf(config, "UTC"))).toEqual(config);
  });

  it("sends text that is not a number, so that the server names the field", () => {
    expect(configOf({ ...emptyDraft("UTC"), every: "five" })).toEqual({ type: "interval", minutes: "five" });
  });

  it("puts each of the server's errors at its field", () => {
    const problem = {
      type: "urn:attune:problem:invalid",
      title: "",
      status: 422,
      detail: "",
      errors: [
        { path: "config.foo", message: "is not a field" },
        { path: "config.expression", message: "never occurs" },
        { path: "config.timezone", message: "is not an IANA zone" },
      ],
    };
    const { at, rest } = fieldErrors(new ProblemError(problem), FIELDS);
    expect(at).toEqual({ "config.expression": "never occurs", "config.timezone": "is not an IANA zone" });
    expect(rest).toEqual(["config.foo is not a field"]);
  });
});

const timer = (over: Partial<Timer>): Timer =>
  ({
    trigger_id: 1,
    trigger_ref: "acme.a",
    enabled: true,
    config: { type: "interval", seconds: 10 },
    next_fire_at: "2026-12-01T00:00:00Z",
    last_scheduled_at: null,
    last_fired_at: null,
    fired: 0,
    late: 0,
    last_late_ms: null,
    missed: 0,
    error_count: 0,
    last_error: null,
    gaps: [],
    ...over,
  }) as Timer;

describe("state", () => {
  it("shows the worst", () => {
    expect(stateOf(timer({ late: 1, missed: 2 }))).toBe("missed");
    expect(stateOf(timer({ enabled: false, missed: 2 }))).toBe("disabled");
    expect(stateOf(timer({ next_fire_at: null }))).toBe("done");
    expect(countStates([timer({}), timer({ late: 3 })])).toMatchObject({ all: 2, ok: 1, late: 1 });
  });
  it("filters by state and text", () => {
    expect(matches(timer({}), "all", "cme")).toBe(true);
    expect(matches(timer({}), "late", "")).toBe(false);
    expect(matches(timer({}), "ok", "core")).toBe(false);
  });
});

describe("words", () => {
  it("describes intervals", () => {
    expect(everySeconds(10)).toBe("every 10 s");
    expect(everySeconds(300)).toBe("every 5 min");
    expect(everySeconds(90_061)).toBe("every 1 d 1 h 1 min 1 s");
  });
  it("describes cron, or shows the expression", () => {
    expect(cronWords("30 2 * * *")).toBe("02:30 every day");
    expect(cronWords("0 9 * * MON-FRI")).toBe("09:00 on weekdays");
    expect(cronWords("@hourly")).toBe("every hour");
    expect(cronWords("*/15 * * * *")).toBe("every 15 minutes");
    expect(cronWords("what")).toBeUndefined();
    expect(scheduleWords({ type: "cron", expression: "0 0 L * *" })).toEqual({ text: "0 0 L * *", zone: "UTC" });
    expect(zoneShort("America/New_York")).toBe("New York");
  });
});

describe("ledger", () => {
  const ticks = ticksOf(
    [
      { id: "e1", scheduledAt: 1000, lateMs: 3 },
      { id: "e2", scheduledAt: 2000, lateMs: 60_000 },
      { id: "m", scheduledAt: null, lateMs: null },
    ],
    [{ from: 3000, to: 5000, missed: 3, reason: "no sensor" }],
    [
      { at: 6000, local: "x", note: null },
      { at: 7000, local: "y", note: "dst_gap" },
      { at: 2000, local: "z", note: null },
    ],
    10_000,
  );
  it("merges events, gaps and the plan, and does not repeat what fired", () => {
    expect(ticks.map((t) => t.status)).toEqual(["fired", "late", "missed", "due", "due"]);
    expect(totals(ticks)).toEqual({ fired: 1, late: 1, missed: 3, due: 2, paused: 0 });
  });
  it("joins ticks that are too close and shows the worst", () => {
    const [first, ...rest] = layout(ticks, 0, 10_000_000, 1000);
    expect(first).toMatchObject({ status: "missed", first: 0, last: 2 });
    expect(rest).toHaveLength(1);
    expect(rest[0]).toMatchObject({ status: "due", note: true });
    expect(layout(ticks, 0, 10_000, 1000)).toHaveLength(5);
  });
});
