import type { Schema } from "../../lib/schema";
import { reasonWords } from "../timers/words";

/** Placing occurrences on days, hours and lanes. Instants are milliseconds; the zone's day boundaries come from `lib/time`. */
export type Entry = Schema<"CalendarOccurrence">;
export type Fate = NonNullable<Entry["fate"]>;
export type Dense = Schema<"DenseTimer">;
export type CalendarAnswer = Schema<"Calendar">;

export interface Item extends Entry {
  at: number;
}

export interface Lane {
  ref: string;
  pack: string;
  items: Item[];
}

export function packOf(ref: string): string {
  const dot = ref.indexOf(".");
  return dot < 0 ? ref : ref.slice(0, dot);
}

export function lanesOf(items: readonly Item[]): Lane[] {
  const lanes = new Map<string, Lane>();
  for (const item of items) {
    const ref = item.trigger_ref;
    const lane = lanes.get(ref) ?? { ref, pack: packOf(ref), items: [] };
    lane.items.push(item);
    lanes.set(ref, lane);
  }
  return [...lanes.values()].sort((a, b) => a.ref.localeCompare(b.ref));
}

export interface Hour {
  start: number;
  label: string;
  /** `A` and `B` for an hour that occurs twice. */
  pass: "" | "A" | "B";
}

/** The hours of a day: 23, 24 or 25 of them. `hourOf` gives the hour of the day in the zone. */
export function hoursOf(start: number, end: number, hourOf: (at: number) => number): Hour[] {
  const hours: Hour[] = [];
  for (let at = start; at < end; at += 3_600_000) {
    hours.push({ start: at, label: String(hourOf(at)).padStart(2, "0"), pass: "" });
  }
  for (const [i, hour] of hours.entries()) {
    const next = hours[i + 1];
    if (next != null && next.label === hour.label) {
      hour.pass = "A";
      next.pass = "B";
    }
  }
  return hours;
}

/** The agenda: items in order, grouped by `keyOf`, such as the hour in the zone. */
export function groupBy<K extends string | number>(
  items: readonly Item[],
  keyOf: (at: number) => K,
): { key: K; items: Item[] }[] {
  const groups: { key: K; items: Item[] }[] = [];
  for (const item of [...items].sort((a, b) => a.at - b.at || a.trigger_ref.localeCompare(b.trigger_ref))) {
    const key = keyOf(item.at);
    const last = groups.at(-1);
    if (last?.key === key) last.items.push(item);
    else groups.push({ key, items: [item] });
  }
  return groups;
}

/** The fate of an occurrence in words. `time` formats an instant. */
export function fateWords(fate: Fate, time: (at: string) => string): string {
  return fate.what === "fires_late"
    ? `would fire late at ${time(fate.at)}`
    : `would be missed: ${reasonWords(fate.reason)}`;
}

/** How many occurrences would fire at the same moment when the outage ends. */
export function together(items: readonly Item[]): number {
  const counts = new Map<string, number>();
  for (const { fate } of items) if (fate?.what === "fires_late") counts.set(fate.at, (counts.get(fate.at) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}

export interface MonthDay {
  start: number;
  count: number;
  missed: number;
}

export function perDay(items: readonly Item[], days: readonly { start: number; end: number }[]): MonthDay[] {
  return days.map((day) => {
    const here = items.filter((item) => item.at >= day.start && item.at < day.end);
    const sum = (status?: Item["status"]) =>
      here.reduce((n, item) => n + (status == null || item.status === status ? item.count : 0), 0);
    return { start: day.start, count: sum(), missed: sum("missed") };
  });
}

/** An iCalendar file of the occurrences shown. `stamp` formats an instant as `20261201T013000Z`. */
export function icsOf(items: readonly Item[], stamp: (at: number) => string): string {
  const events = items.flatMap((item) => [
    "BEGIN:VEVENT",
    `UID:${item.trigger_ref}-${item.at}@attune`,
    `DTSTAMP:${stamp(item.at)}`,
    `DTSTART:${stamp(item.at)}`,
    `SUMMARY:${item.trigger_ref}`,
    "END:VEVENT",
  ]);
  return ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Attune//Calendar//EN", ...events, "END:VCALENDAR", ""].join(
    "\r\n",
  );
}
