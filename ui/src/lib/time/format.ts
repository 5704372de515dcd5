export type Instant = string | number;

export const ms = (at: Instant): number => (typeof at === "number" ? at : Date.parse(at));

/** ISO 8601 in UTC; empty if it is not an instant. */
export const iso = (at: Instant): string => (Number.isNaN(ms(at)) ? "" : new Date(ms(at)).toISOString());

const formats = new Map<string, Intl.DateTimeFormat>();

function parts(zone: string, at: number) {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      hourCycle: "h23",
      weekday: "short",
      year: "numeric",
      month: "short",
      day: "numeric",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      timeZoneName: "longOffset",
    });
    formats.set(zone, format);
  }
  const found: Record<string, string> = {};
  for (const part of format.formatToParts(at)) found[part.type] = part.value;
  // `Sept` is the only month of en-GB with four letters.
  found.month = (found.month ?? "").slice(0, 3);
  return found as Record<"weekday" | "year" | "month" | "day" | "hour" | "minute" | "second" | "timeZoneName", string>;
}

const twoDigits = (n: number) => String(n).padStart(2, "0");

export type Precision = "minute" | "second" | "ms";

/** The time of day: `14:03:12`, `14:03:12.004`. */
export function clockTime(at: Instant, zone: string, precision: Precision = "second"): string {
  const time = ms(at);
  if (Number.isNaN(time)) return "–";
  const p = parts(zone, time);
  const minutes = `${p.hour}:${p.minute}`;
  if (precision === "minute") return minutes;
  const seconds = `${minutes}:${p.second}`;
  return precision === "second" ? seconds : `${seconds}.${String(((time % 1000) + 1000) % 1000).padStart(3, "0")}`;
}

/** `2026-11-30` in the zone: two instants with the same key are on the same day. */
export function dayKey(at: Instant, zone: string): string {
  const p = parts(zone, ms(at));
  const month = "JanFebMarAprMayJunJulAugSepOctNovDec".indexOf(p.month) / 3 + 1;
  return `${p.year}-${twoDigits(month)}-${twoDigits(Number(p.day))}`;
}

/** The date: `Mon 30 Nov`, with the year when it is another one than that of `today`. */
export function date(at: Instant, zone: string, today: Instant): string {
  const p = parts(zone, ms(at));
  const year = parts(zone, ms(today)).year === p.year ? "" : ` ${p.year}`;
  return `${p.weekday} ${p.day} ${p.month}${year}`;
}

/** Time, with the date unless it is today. */
export function dateTime(at: Instant, zone: string, today: Instant, precision: Precision = "second"): string {
  if (Number.isNaN(ms(at))) return "–";
  const time = clockTime(at, zone, precision);
  return dayKey(at, zone) === dayKey(today, zone) ? time : `${date(at, zone, today)} ${time}`;
}

/** The offset from UTC at that instant: `+01:00`. */
export const offset = (at: Instant, zone: string): string =>
  parts(zone, ms(at)).timeZoneName.replace("GMT", "") || "+00:00";

/** The whole instant, for a tooltip: `Mon 30 Nov 2026 14:03:12.004 +01:00 Europe/Berlin`. */
export function fullTime(at: Instant, zone: string): string {
  const p = parts(zone, ms(at));
  return `${p.weekday} ${p.day} ${p.month} ${p.year} ${clockTime(at, zone, "ms")} ${offset(at, zone)} ${zone}`;
}

/** A length of time with at most two units: `8 ms`, `6.0 s`, `1 min 4 s`, `12 h 26 min`, `3 d 2 h`. */
export function duration(milliseconds: number): string {
  const total = Math.max(0, milliseconds);
  if (total < 1_000) return `${Math.round(total)} ms`;
  if (total < 59_950) return total < 9_950 ? `${(total / 1000).toFixed(1)} s` : `${Math.round(total / 1000)} s`;
  const seconds = Math.round(total / 1000);
  const units: [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([size]) => seconds >= size);
  const [size, name] = units[first] ?? [1, "s"];
  const whole = Math.floor(seconds / size);
  const next = units[first + 1];
  if (!next) return `${whole} ${name}`;
  const rest = Math.floor((seconds % size) / next[0]);
  return rest === 0 ? `${whole} ${name}` : `${whole} ${name} ${rest} ${next[1]}`;
}

/** Whole seconds only, for a countdown and for an age: `in 4 s`, `2 min ago`. */
export function relative(at: Instant, reference: number): string {
  const difference = ms(at) - reference;
  if (Number.isNaN(difference)) return "–";
  const size = Math.abs(difference);
  if (size < 1_000) return difference > 0 ? "in 1 s" : "just now";
  const text = duration(Math.floor(size / 1000) * 1000).replace(/^(\d+)\.\d s$/, "$1 s");
  return difference > 0 ? `in ${text}` : `${text} ago`;
}

const relativeSpan = /^-(\d+)(s|m|h|d)$/;

/** Resolves `-24h`, `today` or an instant to an instant for a request. */
export function resolveSince(text: string | undefined, reference: number, zone: string): string | undefined {
  if (!text) return undefined;
  const match = relativeSpan.exec(text);
  if (match) {
    const size = { s: 1, m: 60, h: 3_600, d: 86_400 }[match[2] as "s" | "m" | "h" | "d"];
    // Whole seconds, so that the same filter is the same request for a moment.
    return new Date(Math.floor(reference / 1000) * 1000 - Number(match[1]) * size * 1000).toISOString();
  }
  if (text === "today") {
    const p = parts(zone, reference);
    const since = (Number(p.hour) * 3_600 + Number(p.minute) * 60 + Number(p.second)) * 1000;
    return new Date(Math.floor(reference / 1000) * 1000 - since).toISOString();
  }
  return Number.isNaN(Date.parse(text)) ? undefined : new Date(text).toISOString();
}
