import { describe, expect, it } from "vitest";
import { groupBy, hoursOf, type Item, icsOf, lanesOf, outageOf, perDay } from "./model";

const HOUR = 3_600_000;
const item = (ref: string, at: number, over: Partial<Item> = {}): Item => ({ ref, at, status: "due", ...over });

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
    expect(groupBy(items, (at) => at / HOUR).map((g) => [g.key, g.items.map((i) => i.ref)])).toEqual([
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
  it("adds up what the server says", () => {
    const items = [
      item("a.a", 1, { fate: "fires_late", fateAt: HOUR }),
      item("a.b", 2, { fate: "missed" }),
      item("a.c", 3, { fate: "replaced" }),
      item("a.d", 4),
    ];
    expect(outageOf(items, HOUR)).toEqual({ late: 1, missed: 1, replaced: 1, together: 1 });
  });
});

it("exports iCalendar", () => {
  expect(icsOf([item("a.b", 5)], (at) => `T${at}`)).toContain("DTSTART:T5\r\nSUMMARY:a.b");
});
