import type { components } from "../../gen/api";

export type Timer = components["schemas"]["Timer"];
export type TimerConfig = components["schemas"]["TimerConfig"];
export type Occurrence = components["schemas"]["Occurrence"];
export type Misfire = "catch_up" | "latest" | "skip";
export type TimerKind = "interval" | "cron" | "one_shot";
export type Unit = "seconds" | "minutes" | "hours";

/** The fields of the timer form. Empty text means: leave the field out, so that the server's default applies. */
export interface TimerDraft {
  ref: string;
  label: string;
  description: string;
  kind: TimerKind;
  every: string;
  unit: Unit;
  anchor: string;
  expression: string;
  timezone: string;
  dst_gap: "run" | "skip";
  dst_overlap: "first" | "second" | "both";
  fire_at: string;
  allow_past: boolean;
  start_at: string;
  end_at: string;
  spread_seconds: string;
  misfire: Misfire;
  grace_seconds: string;
  catchup_window_seconds: string;
  catchup_max: string;
  max_age_seconds: string;
  /** Fields of the stored configuration that the form does not show; they are sent back unchanged. */
  rest: Record<string, unknown>;
}

const NUMBERS = [
  "spread_seconds",
  "grace_seconds",
  "catchup_window_seconds",
  "catchup_max",
  "max_age_seconds",
] as const;
const COMMON = [...NUMBERS, "start_at", "end_at", "misfire"] as const;
const OF_KIND: Record<TimerKind, readonly string[]> = {
  interval: ["seconds", "minutes", "hours", "anchor"],
  cron: ["expression", "timezone", "dst_gap", "dst_overlap"],
  one_shot: ["fire_at", "allow_past"],
};

export function emptyDraft(zone: string): TimerDraft {
  return {
    ref: "my.",
    label: "",
    description: "",
    kind: "interval",
    every: "5",
    unit: "minutes",
    anchor: "",
    expression: "30 2 * * *",
    timezone: zone,
    dst_gap: "run",
    dst_overlap: "first",
    fire_at: "",
    allow_past: false,
    start_at: "",
    end_at: "",
    spread_seconds: "",
    misfire: "catch_up",
    grace_seconds: "",
    catchup_window_seconds: "",
    catchup_max: "",
    max_age_seconds: "",
    rest: {},
  };
}

export function draftOf(config: TimerConfig, zone: string): TimerDraft {
  const draft = emptyDraft(zone);
  const raw = config as Record<string, unknown>;
  const kind = config.type;
  draft.kind = kind;
  for (const name of NUMBERS) {
    if (raw[name] != null) draft[name] = String(raw[name]);
  }
  for (const name of ["start_at", "end_at", "anchor", "expression", "timezone", "fire_at"] as const) {
    if (typeof raw[name] === "string") draft[name] = raw[name];
  }
  if (kind === "cron" && raw.timezone == null) draft.timezone = "UTC";
  if (raw.misfire != null) draft.misfire = raw.misfire as Misfire;
  if (raw.dst_gap != null) draft.dst_gap = raw.dst_gap as TimerDraft["dst_gap"];
  if (raw.dst_overlap != null) draft.dst_overlap = raw.dst_overlap as TimerDraft["dst_overlap"];
  draft.allow_past = raw.allow_past === true;
  if (config.type === "interval") {
    const every = intervalOf(config);
    draft.every = String(every.count);
    draft.unit = every.unit;
  }
  const known = new Set<string>(["type", ...COMMON, ...OF_KIND[kind]]);
  draft.rest = Object.fromEntries(Object.entries(raw).filter(([name, value]) => !known.has(name) && value != null));
  return draft;
}

/** What the form sends. Text that is not a number is sent as it is, so that the server names the field. */
export function configOf(draft: TimerDraft): TimerConfig {
  const out: Record<string, unknown> = { type: draft.kind };
  if (draft.kind === "interval") {
    out[draft.unit] = numberOrText(draft.every);
    if (draft.anchor) out.anchor = draft.anchor;
  } else if (draft.kind === "cron") {
    out.expression = draft.expression.trim();
    if (draft.timezone) out.timezone = draft.timezone;
    if (draft.dst_gap !== "run") out.dst_gap = draft.dst_gap;
    if (draft.dst_overlap !== "first") out.dst_overlap = draft.dst_overlap;
  } else {
    out.fire_at = draft.fire_at;
    if (draft.allow_past) out.allow_past = true;
  }
  if (draft.start_at) out.start_at = draft.start_at;
  if (draft.end_at) out.end_at = draft.end_at;
  if (draft.misfire !== "catch_up") out.misfire = draft.misfire;
  for (const name of NUMBERS) {
    if (draft[name].trim() !== "") out[name] = numberOrText(draft[name]);
  }
  return { ...out, ...draft.rest } as TimerConfig;
}

function numberOrText(text: string): unknown {
  const trimmed = text.trim();
  return /^-?\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : trimmed;
}

export function intervalSeconds(config: components["schemas"]["IntervalTimerConfig"]): number {
  return (config.seconds ?? 0) + (config.minutes ?? 0) * 60 + (config.hours ?? 0) * 3600;
}

function intervalOf(config: components["schemas"]["IntervalTimerConfig"]): { count: number; unit: Unit } {
  const total = intervalSeconds(config);
  if (total > 0 && total % 3600 === 0) return { count: total / 3600, unit: "hours" };
  if (total > 0 && total % 60 === 0) return { count: total / 60, unit: "minutes" };
  return { count: total, unit: "seconds" };
}

export type TimerState = "ok" | "late" | "missed" | "error" | "disabled" | "done";

/** One state per timer, from what the server counted. The worst one wins. */
export function stateOf(timer: Timer): TimerState {
  if (!timer.enabled) return "disabled";
  if (timer.error_count > 0) return "error";
  if (timer.missed > 0) return "missed";
  if (timer.late > 0) return "late";
  if (timer.next_fire_at == null) return "done";
  return "ok";
}

export type StateCounts = Record<"all" | TimerState, number>;

export function countStates(timers: readonly Timer[]): StateCounts {
  const counts: StateCounts = { all: timers.length, ok: 0, late: 0, missed: 0, error: 0, disabled: 0, done: 0 };
  for (const timer of timers) counts[stateOf(timer)] += 1;
  return counts;
}

export function matches(timer: Timer, state: string, text: string): boolean {
  if (state !== "all" && stateOf(timer) !== state) return false;
  return timer.trigger_ref.includes(text.trim().toLowerCase());
}

/** Where the server names the fields of the form, so that each of its errors is shown at its field. */
export const FIELDS = [
  "ref",
  "label",
  "description",
  ...[
    "seconds",
    "minutes",
    "hours",
    "anchor",
    "expression",
    "timezone",
    "dst_gap",
    "dst_overlap",
    "fire_at",
    "allow_past",
    "start_at",
    "end_at",
    "spread_seconds",
    "misfire",
    "grace_seconds",
    "catchup_window_seconds",
    "catchup_max",
    "max_age_seconds",
  ].map((name) => `config.${name}`),
] as const;
