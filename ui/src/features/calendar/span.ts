import { addDays, dayKey, dayStart, instantOf, weekdayOf } from "../../lib/time";

export type View = "day" | "week" | "month" | "agenda";
export const VIEWS: readonly View[] = ["day", "week", "month", "agenda"];

export interface Span {
  from: number;
  to: number;
  /** Days of the span, as `2026-12-01`. */
  days: { start: number; end: number }[];
  previous: string;
  next: string;
}

/** What a view shows: `at` is a date, `tonight`, or nothing for today. All boundaries are local midnights of the zone. */
export function spanOf(view: View, at: string | undefined, now: number, zone: string): Span {
  const named = at !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(at);
  const day = named ? instantOf(`${at}T00:00`, zone) : dayStart(now, zone);
  const key = (start: number) => dayKey(start, zone);
  if (at === "tonight") {
    const tomorrow = addDays(dayStart(now, zone), 1, zone);
    const to = instantOf(`${key(tomorrow)}T08:00`, zone);
    // The hour that has begun, so that the same request serves for an hour.
    const from = now - (now % 3_600_000);
    return { from, to, days: [{ start: from, end: to }], previous: key(now), next: key(tomorrow) };
  }
  if (view === "month") {
    const start = instantOf(`${key(day).slice(0, 7)}-01T00:00`, zone);
    const end = instantOf(`${key(addDays(start, 32, zone)).slice(0, 7)}-01T00:00`, zone);
    const before = key(addDays(start, -1, zone)).slice(0, 7);
    return { from: start, to: end, days: daysOf(start, end, zone), previous: `${before}-01`, next: key(end) };
  }
  const length = view === "week" ? 7 : 1;
  const start = view === "week" ? addDays(day, -weekdayOf(day, zone), zone) : day;
  const end = addDays(start, length, zone);
  return {
    from: start,
    to: end,
    days: daysOf(start, end, zone),
    previous: key(addDays(start, -length, zone)),
    next: key(end),
  };
}

function daysOf(start: number, end: number, zone: string): { start: number; end: number }[] {
  const days: { start: number; end: number }[] = [];
  for (let at = start; at < end; ) {
    const next = addDays(at, 1, zone);
    days.push({ start: at, end: next });
    at = next;
  }
  return days;
}
