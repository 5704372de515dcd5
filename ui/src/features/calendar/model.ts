/** Placing occurrences on days, hours and lanes. Instants are milliseconds; the zone's day boundaries come from `lib/time`. */
export interface Item {
  ref: string;
  at: number;
  /** With an offset, as the server gives it in the timer's own zone. */
  local?: string;
  status: "fired" | "late" | "missed" | "due" | "paused";
  note?: "dst_gap" | "dst_overlap";
  eventId?: string;
  reason?: string;
  count?: number;
  /** What the server says would happen in a simulated outage. */
  fate?: string;
  fateAt?: number;
  /** Expected length of the execution, if the server knows it. */
  lengthMs?: number;
}

/** A timer with too many occurrences to show each. */
export interface Dense {
  ref: string;
  every: string;
  count: number;
  first?: number;
  last?: number;
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
    const lane = lanes.get(item.ref) ?? { ref: item.ref, pack: packOf(item.ref), items: [] };
    lane.items.push(item);
    lanes.set(item.ref, lane);
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

export interface HourGroup {
  start: number;
  items: Item[];
}

/** The agenda: items in order, grouped by `keyOf`, such as the hour in the zone. */
export function groupBy<K extends string | number>(
  items: readonly Item[],
  keyOf: (at: number) => K,
): { key: K; items: Item[] }[] {
  const groups: { key: K; items: Item[] }[] = [];
  for (const item of [...items].sort((a, b) => a.at - b.at || a.ref.localeCompare(b.ref))) {
    const key = keyOf(item.at);
    const last = groups.at(-1);
    if (last?.key === key) last.items.push(item);
    else groups.push({ key, items: [item] });
  }
  return groups;
}

export interface Outage {
  late: number;
  missed: number;
  replaced: number;
  /** How many fire at the end of the outage. */
  together: number;
}

/** The headline of a simulated outage, from the fates that the server computed. */
export function outageOf(items: readonly Item[], end: number): Outage {
  const out: Outage = { late: 0, missed: 0, replaced: 0, together: 0 };
  for (const item of items) {
    if (item.fate == null || item.fate === "fires") continue;
    const count = item.count ?? 1;
    if (item.fate === "fires_late") {
      out.late += count;
      if (item.fateAt != null && Math.abs(item.fateAt - end) < 60_000) out.together += count;
    } else if (item.fate === "replaced") out.replaced += count;
    else out.missed += count;
  }
  return out;
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
      here.reduce((n, item) => n + (status == null || item.status === status ? (item.count ?? 1) : 0), 0);
    return { start: day.start, count: sum(), missed: sum("missed") };
  });
}

/** An iCalendar file of the occurrences shown. `stamp` formats an instant as `20261201T013000Z`. */
export function icsOf(items: readonly Item[], stamp: (at: number) => string): string {
  const events = items.flatMap((item) => [
    "BEGIN:VEVENT",
    `UID:${item.ref}-${item.at}@attune`,
    `DTSTAMP:${stamp(item.at)}`,
    `DTSTART:${stamp(item.at)}`,
    `SUMMARY:${item.ref}`,
    "END:VEVENT",
  ]);
  return ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Attune//Calendar//EN", ...events, "END:VCALENDAR", ""].join(
    "\r\n",
  );
}
