import { dayKey, iso, ms, offset } from "./format";

const MINUTE = 60_000;
const DAY = 86_400_000;

/** The offset of the zone from UTC at that instant, in milliseconds. */
export function offsetMs(at: number, zone: string): number {
  const match = /^([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/.exec(offset(at, zone));
  if (!match) return 0;
  const size = (Number(match[2]) * 60 + Number(match[3])) * MINUTE + Number(match[4] ?? 0) * 1_000;
  return match[1] === "-" ? -size : size;
}

/** The instant of a local time such as `2026-11-30T14:03`. In a gap it is the first instant after it; in an overlap the first. */
export function instantOf(local: string, zone: string): number {
  const naive = ms(`${local}Z`);
  if (Number.isNaN(naive)) return naive;
  const [before, after] = [naive - offsetMs(naive - DAY, zone), naive - offsetMs(naive + DAY, zone)];
  const fits = [before, after].sort((a, b) => a - b).find((at) => at + offsetMs(at, zone) === naive);
  if (fits !== undefined) return fits;
  return nextClockChange(zone, Math.min(before, after) - DAY, 3 * DAY) ?? Math.max(before, after);
}

/** The local time of an instant, for an input of the type `datetime-local`. */
export const localOf = (at: number, zone: string): string => iso(at + offsetMs(at, zone)).slice(0, 16);

export const dayStart = (at: number, zone: string): number => instantOf(`${dayKey(at, zone)}T00:00`, zone);

/** The beginning of the day `days` days later. Noon is in every day. */
export function addDays(start: number, days: number, zone: string): number {
  const noon = `${dayKey(start, zone)}T12:00`;
  return dayStart(instantOf(iso(ms(`${noon}Z`) + days * DAY).slice(0, 16), zone), zone);
}

export const hourOf = (at: number, zone: string): number =>
  Math.floor(((((at + offsetMs(at, zone)) % DAY) + DAY) % DAY) / 3_600_000);

/** 0 is Monday. */
export const weekdayOf = (at: number, zone: string): number => (Math.floor((at + offsetMs(at, zone)) / DAY) + 3) % 7;

/** When the clocks of a zone change next, within `span`. */
export function nextClockChange(zone: string, from: number, span = 400 * DAY): number | undefined {
  const step = 7 * DAY;
  for (let at = from; at < from + span; at += step) {
    if (offsetMs(at, zone) === offsetMs(at + step, zone)) continue;
    let [low, high] = [at, at + step];
    while (high - low > 1_000) {
      const middle = Math.floor((low + high) / 2);
      if (offsetMs(middle, zone) === offsetMs(low, zone)) low = middle;
      else high = middle;
    }
    return Math.ceil(low / MINUTE) * MINUTE;
  }
  return undefined;
}

/** Whether the browser knows the zone. What a user types may not be one. */
export function isZone(zone: string): boolean {
  try {
    offsetMs(0, zone);
    return true;
  } catch {
    return false;
  }
}
