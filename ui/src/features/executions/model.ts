import type { Mark, Tone } from "../../kit/glyph";
import type { Sentence } from "../../kit/sentence";
import type { Attempt, Execution, ExecutionStatus } from "../../lib/schema";
import { duration, ms } from "../../lib/time";

const marks: Record<ExecutionStatus, Mark> = {
  waiting: { glyph: "waiting", tone: "wait", word: "waiting" },
  scheduled: { glyph: "open", tone: "wait", word: "scheduled" },
  running: { glyph: "running", tone: "run", word: "running" },
  canceling: { glyph: "canceling", tone: "run", word: "canceling" },
  succeeded: { glyph: "done", tone: "ok", word: "succeeded" },
  failed: { glyph: "failed", tone: "bad", word: "failed" },
  timed_out: { glyph: "timed_out", tone: "bad", word: "timed out" },
  canceled: { glyph: "canceled", tone: "quiet", word: "canceled" },
  lost: { glyph: "lost", tone: "lost", word: "lost" },
  skipped: { glyph: "skipped", tone: "quiet", word: "skipped" },
};

export const executionMark = (status: ExecutionStatus): Mark => marks[status];

export const statuses = Object.keys(marks) as ExecutionStatus[];

const finals: readonly ExecutionStatus[] = ["succeeded", "failed", "timed_out", "canceled", "lost", "skipped"];
export const isFinal = (status: ExecutionStatus): boolean => finals.includes(status);
export const isProblem = (status: ExecutionStatus): boolean => ["failed", "timed_out", "lost"].includes(status);

/** The first fields of an object in one line: `total=50 country=DE`. */
export function preview(value: unknown, fields = 4): string {
  if (typeof value !== "object" || value === null) return value === null || value === undefined ? "" : String(value);
  const shown: string[] = [];
  for (const [key, each] of Object.entries(value)) {
    if (shown.length === fields) return `${shown.join(" ")} …`;
    if (typeof each === "string") shown.push(`${key}=${each.length > 40 ? `${each.slice(0, 40)}…` : each}`);
    else if (typeof each === "object" && each !== null) shown.push(`${key}=${Array.isArray(each) ? "[…]" : "{…}"}`);
    else shown.push(`${key}=${String(each)}`);
  }
  return shown.join(" ");
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these sequences begin with Escape.
const escapes = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-_])/g;

/** Text without the sequences that colour it on a terminal. */
export const withoutColours = (text: string): string => text.replace(escapes, "");

/** The last line that says something. */
export const lastLine = (text: string | null | undefined): string =>
  withoutColours(text ?? "")
    .trimEnd()
    .split("\n")
    .at(-1) ?? "";

interface Times {
  created_at: string;
  scheduled_at: string;
  started_at: string | null;
  finished_at: string | null;
  attempt: number;
}

/** How long it waited before its last attempt, in milliseconds. */
export function waited(execution: Times): number | undefined {
  if (!execution.started_at) return undefined;
  const from = execution.attempt > 1 ? execution.scheduled_at : execution.created_at;
  return Math.max(0, ms(execution.started_at) - ms(from));
}

interface Caused {
  rule_ref: string | null;
  event_id: string | null;
  rerun_of: string | null;
}

/** Who or what started it. */
export function startedBy(execution: Caused): Sentence {
  if (execution.rerun_of)
    return ["rerun of ", { ref: `…${execution.rerun_of.slice(-8)}`, to: `/executions/${execution.rerun_of}` }];
  if (execution.rule_ref) return [{ ref: execution.rule_ref, to: `/rules/${execution.rule_ref}` }];
  return ["run by hand"];
}

/** Built-in views of the list: a name and its filters. */
export const views = [
  { id: "problems", label: "Problems, 24 h", url: { status: "failed,timed_out,lost", since: "-24h" } },
  { id: "running", label: "Running", url: { status: "running,canceling", since: undefined } },
  { id: "waiting", label: "Waiting", url: { status: "waiting,scheduled", since: undefined } },
  { id: "all", label: "All", url: { status: undefined, since: undefined } },
] as const;

export interface Phase {
  kind: "waited" | "ran" | "retry";
  label: string;
  tone: Tone;
  /** In milliseconds. */
  length: number;
}

/** The life of an execution as consecutive phases; `until` is the end, or now. */
export function phasesOf(execution: Execution, attempts: readonly Attempt[], until: number): Phase[] {
  const phases: Phase[] = [];
  let at = ms(execution.created_at);
  const started = attempts.filter((attempt) => attempt.started_at !== null);
  for (const attempt of started) {
    const from = ms(attempt.started_at ?? 0);
    const isRetry = phases.length > 0;
    if (from > at) {
      const kind = isRetry ? "retry" : "waited";
      phases.push({ kind, label: isRetry ? "retry in" : "waited", tone: "wait", length: from - at });
    }
    const to = attempt.ended_at ? ms(attempt.ended_at) : until;
    const mark = marks[(attempt.outcome ?? "running") as ExecutionStatus] ?? marks.lost;
    const name = started.length > 1 ? `attempt ${attempt.attempt}` : "ran";
    phases.push({ kind: "ran", label: name, tone: mark.tone, length: Math.max(0, to - from) });
    at = to;
  }
  if (!isFinal(execution.status) && execution.status !== "running" && until > at) {
    phases.push({ kind: "waited", label: "waiting", tone: "wait", length: until - at });
  }
  return phases;
}

interface Ended {
  status: ExecutionStatus;
  exit_code: number | null;
  started_at: string | null;
  finished_at: string | null;
}

/** How it ended, in words; nothing while it has not. */
export function endingOf(execution: Ended): string | undefined {
  if (!isFinal(execution.status)) return undefined;
  const length =
    execution.started_at && execution.finished_at
      ? ` after ${duration(ms(execution.finished_at) - ms(execution.started_at))}`
      : "";
  if (execution.exit_code !== null) return `exited with code ${execution.exit_code}${length}`;
  return `${marks[execution.status].word}${length}`;
}
