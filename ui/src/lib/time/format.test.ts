import { describe, expect, test } from "vitest";
import { clockTime, date, dateTime, dayKey, duration, fullTime, offset, relative, resolveSince } from "./format";

describe("times in a zone", () => {
  test("the offset changes with the clocks", () => {
    expect(offset("2027-03-28T00:59:59Z", "Europe/Berlin")).toBe("+01:00");
    expect(offset("2027-03-28T01:00:00Z", "Europe/Berlin")).toBe("+02:00");
    expect(clockTime("2027-03-28T00:59:59Z", "Europe/Berlin")).toBe("01:59:59");
    expect(clockTime("2027-03-28T01:00:00Z", "Europe/Berlin")).toBe("03:00:00");
  });

  test("midnight is 00, never 24", () => {
    for (const zone of ["UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns", "Asia/Kolkata"]) {
      for (let hour = 0; hour < 24; hour++) {
        const text = clockTime(Date.UTC(2026, 10, 30, hour, 30), zone);
        expect(text).toMatch(/^([01]\d|2[0-3]):[0-5]\d:[0-5]\d$/);
      }
    }
  });

  test("zones with half hours and across the date line", () => {
    expect(clockTime("2026-11-30T12:00:00.004Z", "America/St_Johns", "ms")).toBe("08:30:00.004");
    expect(dayKey("2026-11-30T12:00:00Z", "Pacific/Apia")).toBe("2026-12-01");
    expect(dayKey("2026-11-30T23:30:00Z", "Europe/Berlin")).toBe("2026-12-01");
    expect(dayKey("2026-11-30T23:30:00Z", "UTC")).toBe("2026-11-30");
  });

  test("a date appears only on another day, a year only in another year", () => {
    const today = "2026-11-30T12:00:00Z";
    expect(dateTime("2026-11-30T09:00:00Z", "UTC", today)).toBe("09:00:00");
    expect(dateTime("2026-12-01T02:30:00Z", "UTC", today, "minute")).toBe("Tue 1 Dec 02:30");
    expect(date("2027-09-28T02:30:00Z", "UTC", today)).toBe("Tue 28 Sep 2027");
  });

  test("what is not a time is a dash, never Invalid Date", () => {
    expect(clockTime("nonsense", "UTC")).toBe("–");
    expect(dateTime("nonsense", "UTC", 0)).toBe("–");
    expect(relative("nonsense", 0)).toBe("–");
  });

  test("the tooltip has everything", () => {
    expect(fullTime("2026-11-30T14:03:12.004Z", "Europe/Berlin")).toBe(
      "Mon 30 Nov 2026 15:03:12.004 +01:00 Europe/Berlin",
    );
  });
});

test.each([
  [0, "0 ms"],
  [999, "999 ms"],
  [1_000, "1.0 s"],
  [6_040, "6.0 s"],
  [59_940, "60 s"],
  [60_000, "1 min"],
  [64_000, "1 min 4 s"],
  [3_600_000, "1 h"],
  [44_760_000, "12 h 26 min"],
  [266_400_000, "3 d 2 h"],
])("%i ms is %s", (length, text) => {
  expect(duration(length)).toBe(text);
});

test("a countdown and an age have whole seconds", () => {
  expect(relative(4_400, 0)).toBe("in 4 s");
  expect(relative(0, 130_000)).toBe("2 min 10 s ago");
  expect(relative(0, 300)).toBe("just now");
});

test("relative filters are resolved when they are used", () => {
  const reference = Date.parse("2026-11-30T12:00:00.500Z");
  expect(resolveSince("-24h", reference, "UTC")).toBe("2026-11-29T12:00:00.000Z");
  expect(resolveSince("today", reference, "Europe/Berlin")).toBe("2026-11-29T23:00:00.000Z");
  expect(resolveSince("2026-11-01T00:00:00Z", reference, "UTC")).toBe("2026-11-01T00:00:00.000Z");
  expect(resolveSince("yesterday", reference, "UTC")).toBeUndefined();
});
