import cronstrue from "cronstrue";
import { intervalSeconds, type Misfire, type TimerConfig, type TimerState } from "./model";

const EVERY: readonly [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

export function everySeconds(total: number): string {
  const parts: string[] = [];
  let rest = total;
  for (const [size, unit] of EVERY) {
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count} ${unit}`);
    rest -= count * size;
  }
  return `every ${parts.length === 0 ? "0 s" : parts.join(" ")}`;
}

export interface ScheduleWords {
  text: string;
  /** The expression itself, if the words only describe it. */
  raw?: string;
  zone?: string;
}

/** The schedule in words. The dates that the server gives are exact; these words describe. */
export function scheduleWords(config: TimerConfig): ScheduleWords {
  if (config.type === "interval") return { text: everySeconds(intervalSeconds(config)) };
  if (config.type === "one_shot") return { text: "once" };
  const zone = config.timezone ?? "UTC";
  const words = cronWords(config.expression);
  return words == null ? { text: config.expression, zone } : { text: words, raw: config.expression, zone };
}

/** Cron in words, or undefined for an expression that the describing library cannot express. */
export function cronWords(expression: string): string | undefined {
  const trimmed = expression.trim();
  const nickname: Record<string, string> = {
    "@hourly": "every hour",
    "@daily": "00:00 every day",
    "@midnight": "00:00 every day",
    "@weekly": "00:00 every Sunday",
    "@monthly": "00:00 on the first day of the month",
    "@yearly": "00:00 on 1 January",
    "@annually": "00:00 on 1 January",
  };
  if (nickname[trimmed] != null) return nickname[trimmed];
  const fields = trimmed.split(/\s+/);
  if (
    fields.length < 5 ||
    fields.length > 7 ||
    /[LW#HR]/.test(
      fields
        .slice(2)
        .join(" ")
        .replace(/[A-Z]{3}/g, ""),
    )
  )
    return undefined;
  const daily = /^(\d{1,2}) (\d{1,2}) \* \* (\*|MON-FRI|1-5)$/i.exec(trimmed);
  if (daily != null) {
    const time = `${daily[2]?.padStart(2, "0")}:${daily[1]?.padStart(2, "0")}`;
    return `${time} ${daily[3] === "*" ? "every day" : "on weekdays"}`;
  }
  try {
    const text = cronstrue.toString(trimmed, { use24HourTimeFormat: true, throwExceptionOnParseError: true });
    return text.charAt(0).toLowerCase() + text.slice(1);
  } catch {
    return undefined;
  }
}

/** `Europe/Berlin` as `Berlin`; `UTC` stays. */
export function zoneShort(zone: string): string {
  return (zone.split("/").at(-1) ?? zone).replaceAll("_", " ");
}

export const STATE_WORDS: Record<TimerState, string> = {
  ok: "on time",
  late: "late",
  missed: "missed",
  error: "error",
  disabled: "disabled",
  done: "no more occurrences",
};

export const MISFIRE_WORDS: Record<Misfire, { label: string; hint: string }> = {
  catch_up: { label: "Catch up", hint: "Late occurrences fire, oldest first, up to a maximum number within a window." },
  latest: { label: "Latest only", hint: "Only the newest late occurrence fires." },
  skip: { label: "Skip", hint: "Late occurrences do not fire. They are counted as missed." },
};

export const GAP_WORDS = {
  run: { label: "Fire after the gap", hint: "A time that the clocks skip fires at the first instant after the gap." },
  skip: { label: "Skip", hint: "A time that the clocks skip does not fire on that day." },
} as const;

export const OVERLAP_WORDS = {
  first: { label: "First time", hint: "A time that occurs twice fires the first time." },
  second: { label: "Second time", hint: "A time that occurs twice fires the second time." },
  both: { label: "Both times", hint: "A time that occurs twice fires twice." },
} as const;

export function noteWords(note: string | null | undefined, localTime: string): string | undefined {
  if (note === "dst_gap") return `the clocks skip the planned time; fires at ${localTime}`;
  if (note === "dst_overlap") return "this time occurs twice";
  return undefined;
}

const REASONS: Record<string, string> = {
  disabled: "the timer was disabled",
  skip: "the policy is to skip",
  latest: "only the newest one fires",
  catchup_window: "older than the catch-up window",
  catchup_max: "more than a catch-up fires",
  max_age: "too old to fire",
  edited: "the schedule was changed",
  past_at_creation: "in the past when the timer was created",
};

/** Why an occurrence did not fire. */
export const reasonWords = (reason: string): string => REASONS[reason] ?? reason.replaceAll("_", " ");
