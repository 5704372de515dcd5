import { describe, expect, it } from "vitest";
import { fateWords, groupBy, hoursOf, type Item, icsOf, lanesOf, perDay, together } from "./model";
import { spanOf } from "./span";

const HOUR = 3_600_000;
const item = (ref: string, at: number, over: Partial<Item> = {}): Item => ({
  trigger_ref: ref,
  at,
  scheduled_at: "",
  local_time: "",
  status: "due",
  note: null,
  event_id: null,
  late_ms: null,
  until: null,
  count: 1,
  reason: null,
  fate: null,
  ...over,
});

describe("hours of a day", () => {
  it("labels the hour that occurs twice A and B", () => {
    const local = [0, 1, 2, 2, 3];
    const hours = hoursOf(0, 5 * HOUR, (at) => local[at / HOUR] as number);
    expect(hours.map((h) => h.label + h.pass)).toEqual(["00", "01", "02A", "02B", "03"]);
  });
  it("has 23 hours when one is skipped", () => {
    const hours = hoursOf(0, 23 * HOUR, (at) => (at / HOUR < 2 ? at / HOUR : at / HOUR + 1));
    expect(hours).toHaveLength(23);
    expect(hours.map((h) => h.label)).not.toContain("02");
  });
});

describe("lanes and groups", () => {
  const items = [item("acme.b", 2 * HOUR), item("acme.a", HOUR), item("acme.b", HOUR)];
  it("makes one lane per timer", () => {
    expect(lanesOf(items).map((l) => [l.ref, l.pack, l.items.length])).toEqual([
      ["acme.a", "acme", 1],
      ["acme.b", "acme", 2],
    ]);
  });
  it("groups in order of time, then ref", () => {
    expect(groupBy(items, (at) => at / HOUR).map((g) => [g.key, g.items.map((i) => i.trigger_ref)])).toEqual([
      [1, ["acme.a", "acme.b"]],
      [2, ["acme.b"]],
    ]);
  });
  it("counts an occurrence at midnight in the day that begins", () => {
    const days = [
      { start: 0, end: 24 * HOUR },
      { start: 24 * HOUR, end: 48 * HOUR },
    ];
    expect(perDay([item("a.b", 24 * HOUR), item("a.b", 0, { status: "missed", count: 3 })], days)).toEqual([
      { start: 0, count: 3, missed: 3 },
      { start: 24 * HOUR, count: 1, missed: 0 },
    ]);
  });
});

describe("simulated outage", () => {
  it("shows what the server says", () => {
    const late = { what: "fires_late", at: "2026-12-01T05:00:00Z" } as const;
    expect(fateWords(late, (at) => at.slice(11, 16))).toBe("would fire late at 05:00");
    expect(fateWords({ what: "missed", reason: "catchup_window" }, String)).toBe(
      "would be missed: older than the catch-up window",
    );
    expect(together([item("a.a", 1, { fate: late }), item("a.b", 2, { fate: late }), item("a.c", 3)])).toBe(2);
  });
});

describe("span of a view", () => {
  const now = Date.parse("2026-12-01T14:00:00Z");
  const hours = (view: "day" | "week" | "month", at: string) => {
    const span = spanOf(view, at, now, "Europe/Berlin");
    return (span.to - span.from) / HOUR;
  };
  it("follows the clocks of the zone", () => {
    expect(hours("day", "2027-03-28")).toBe(23);
    expect(hours("day", "2027-10-31")).toBe(25);
    expect(hours("week", "2026-12-02")).toBe(168);
  });
  it("begins at local midnight, on Monday, on the first", () => {
    const from = (view: "day" | "week" | "month", at: string | undefined) =>
      new Date(spanOf(view, at, now, "Europe/Berlin").from).toISOString();
    expect(from("day", undefined)).toBe("2026-11-30T23:00:00.000Z");
    expect(from("week", "2026-12-02")).toBe("2026-11-29T23:00:00.000Z");
    expect(from("month", "2026-12-15")).toBe("2026-11-30T23:00:00.000Z");
  });
  it("reaches until tomorrow morning for tonight, and steps by the view", () => {
    const span = spanOf("agenda", "tonight", now, "Europe/Berlin");
    expect([span.from, new Date(span.to).toISOString()]).toEqual([now, "2026-12-02T07:00:00.000Z"]);
    expect(spanOf("month", "2026-12-15", now, "Europe/Berlin")).toMatchObject({
      previous: "2026-11-01",
      next: "2027-01-01",
    });
    expect(spanOf("day", "2027-03-28", now, "Europe/Berlin")).toMatchObject({
      previous: "2027-03-27",
      next: "2027-03-29",
    });
  });
});

it("exports iCalendar", () => {
  expect(icsOf([item("a.b", 5)], (at) => `T${at}`)).toContain("DTSTART:T5\r\nSUMMARY:a.b");
});
