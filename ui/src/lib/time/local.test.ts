import { describe, expect, it } from "vitest";
import { iso } from "./format";
import { addDays, dayStart, hourOf, instantOf, isZone, localOf, nextClockChange, offsetMs, weekdayOf } from "./local";

const at = (text: string) => Date.parse(text);

describe("local times", () => {
  it.each(["UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns", "Asia/Kathmandu"])(
    "round-trip in %s",
    (zone) => {
      for (const local of ["2026-11-30T00:00", "2026-06-15T23:59", "2027-01-01T12:30"]) {
        expect(localOf(instantOf(local, zone), zone)).toBe(local);
      }
    },
  );
  it("takes the first instant after a gap, and the first of two", () => {
    expect(iso(instantOf("2027-03-28T02:30", "Europe/Berlin"))).toBe("2027-03-28T01:00:00.000Z");
    expect(iso(instantOf("2027-10-31T02:30", "Europe/Berlin"))).toBe("2027-10-31T00:30:00.000Z");
  });
  it("knows that days have 23, 24 or 25 hours", () => {
    const hours = (day: string) => {
      const start = dayStart(at(`${day}T12:00:00Z`), "Europe/Berlin");
      return (addDays(start, 1, "Europe/Berlin") - start) / 3_600_000;
    };
    expect([hours("2027-03-28"), hours("2026-12-01"), hours("2027-10-31")]).toEqual([23, 24, 25]);
  });
  it("finds the next clock change", () => {
    expect(iso(nextClockChange("Europe/Berlin", at("2026-12-01T00:00:00Z")) ?? 0)).toBe("2027-03-28T01:00:00.000Z");
    expect(nextClockChange("UTC", at("2026-12-01T00:00:00Z"))).toBeUndefined();
  });
  it("knows what is a zone", () => {
    expect(["UTC", "Europe/Berlin", "Europe/Berlinx", ""].map(isZone)).toEqual([true, true, false, false]);
  });
  it("has hours, weekdays and offsets", () => {
    expect(hourOf(at("2026-11-30T23:30:00Z"), "Europe/Berlin")).toBe(0);
    expect(weekdayOf(at("2026-11-30T12:00:00Z"), "UTC")).toBe(0);
    expect(offsetMs(at("2026-11-30T12:00:00Z"), "America/St_Johns")).toBe(-3.5 * 3_600_000);
  });
});
