import type { components } from "../../gen/api";
import { formOf, type Json, type NodeForm, OPERATOR_WORDS, type Operator } from "./condition";

export type Rule = components["schemas"]["Rule"];
export type Clause = components["schemas"]["Clause"];
type Explained = components["schemas"]["Explained"];

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
};

export function shortPath(path: string): string {
  return path.replace(/^event\./, "").replace(/^payload\./, "");
}

/** A condition in one line: `total is greater than 100 and country equals "DE"`. Null applies always. */
export function conditionWords(condition: unknown): string | undefined {
  if (condition == null) return undefined;
  if (typeof condition === "string") return condition;
  const form = formOf(condition);
  return form.mode === "tree" ? nodeWords(form.root, true) : shown(condition);
}

function nodeWords(node: NodeForm, top = false): string {
  if (node.kind === "not") return `not (${nodeWords(node.item, true)})`;
  if (node.kind === "group") {
    if (node.items.length === 0) return node.op === "all" ? "always" : "never";
    const text = node.items.map((item) => nodeWords(item)).join(node.op === "all" ? " and " : " or ");
    return top || node.items.length === 1 ? text : `(${text})`;
  }
  const path = shortPath(node.path);
  if (node.kind === "items") return `${path} ${OPERATOR_WORDS[node.operator]} ${nodeWords(node.item)}`;
  if (node.operator === "exists") return `${path} ${node.value === "false" ? "does not exist" : "exists"}`;
  return `${path} ${OPERATOR_WORDS[node.operator]} ${quoted(node.value)}`;
}

function quoted(text: string): string {
  try {
    return shown(JSON.parse(text) as Json);
  } catch {
    return shown(text);
  }
}

const MUST: Partial<Record<Operator, string>> = {
  equals: "must equal",
  not_equals: "must not equal",
  less_than: "must be less than",
  less_than_or_equal: "must be at most",
  greater_than: "must be greater than",
  greater_than_or_equal: "must be at least",
  in: "must be one of",
  not_in: "must not be one of",
  contains: "must contain",
  not_contains: "must not contain",
  starts_with: "must start with",
  ends_with: "must end with",
  matches: "must match",
  matches_wildcard: "must match",
  younger_than: "must be younger than",
  older_than: "must be older than",
};

/** Why a clause was false: `total is 50, must be greater than 100`. */
export function clauseWords(clause: Clause): string {
  const path = shortPath(clause.path);
  if (clause.operator === "exists") {
    return clause.expected === false ? `${path} exists, must not exist` : `${path} does not exist`;
  }
  if (clause.missing) return `${path} is missing from the event`;
  const must = MUST[clause.operator as Operator];
  if (must == null) return `${path} is ${shown(clause.actual)}: ${clause.operator.replaceAll("_", " ")} does not hold`;
  return `${path} is ${shown(clause.actual)}, ${must} ${shown(clause.expected)}`;
}

/** What groups verdicts: the clause without the value that one event had. */
export function clauseGroup(clause: Clause): string {
  const path = shortPath(clause.path);
  const must = MUST[clause.operator as Operator];
  if (clause.operator === "exists") return clause.expected === false ? `${path} must not exist` : `${path} must exist`;
  return must == null
    ? `${path}: ${clause.operator.replaceAll("_", " ")}`
    : `${path} ${must} ${shown(clause.expected)}`;
}

export type VerdictMark = "matched" | "not_matched" | "undecidable" | "throttled" | "skipped" | "off" | "later";

export interface Verdict {
  mark: VerdictMark;
  text: string;
  group: string;
  executionId: string | null;
}

/** This rule's verdict about one event, in words. */
export function verdictOf(explained: Explained): Verdict {
  const executionId = explained.execution_id ?? null;
  if (explained.decision === "skip") {
    if (explained.why.why === "condition") {
      return {
        mark: "not_matched",
        text: `did not match: ${clauseWords(explained.why.clause)}`,
        group: clauseGroup(explained.why.clause),
        executionId,
      };
    }
    const off = explained.why.why === "disabled";
    const text = off ? "the rule was disabled" : "the rule was created after this event";
    return { mark: off ? "off" : "later", text, group: text, executionId };
  }
  if (explained.decision === "fail") {
    return {
      mark: "undecidable",
      text: `cannot be evaluated: ${explained.reason}`,
      group: explained.reason,
      executionId,
    };
  }
  const status = explained.enforcement_status;
  if (status === "throttled" || status === "skipped") {
    const text =
      status === "throttled"
        ? `matched, throttled: ${explained.reason ?? "rate limit"}`
        : `matched, skipped: ${explained.reason ?? "concurrency limit"}`;
    return { mark: status, text, group: status, executionId };
  }
  if (status === "failed") {
    return {
      mark: "undecidable",
      text: `matched, but nothing was started: ${explained.reason ?? "unknown"}`,
      group: explained.reason ?? "failed",
      executionId,
    };
  }
  return {
    mark: "matched",
    text: executionId == null ? "matched" : "matched and started an execution",
    group: "matched",
    executionId,
  };
}

export const VERDICT_WORDS: Record<VerdictMark, string> = {
  matched: "matched",
  not_matched: "did not match",
  undecidable: "cannot be evaluated",
  throttled: "throttled",
  skipped: "skipped",
  off: "disabled",
  later: "created later",
};

export interface VerdictGroup {
  mark: VerdictMark;
  text: string;
  count: number;
  eventIds: string[];
}

/** Verdicts grouped by their reason, the most frequent first. */
export function groupVerdicts(rows: readonly { eventId: string; verdict: Verdict }[]): VerdictGroup[] {
  const groups = new Map<string, VerdictGroup>();
  for (const row of rows) {
    const key = `${row.verdict.mark} ${row.verdict.group}`;
    const group = groups.get(key) ?? { mark: row.verdict.mark, text: row.verdict.group, count: 0, eventIds: [] };
    group.count += 1;
    group.eventIds.push(row.eventId);
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}

export function limitWords(rule: Pick<Rule, "rate_limit" | "concurrency" | "retry">): string[] {
  const words: string[] = [];
  if (rule.rate_limit != null)
    words.push(`starts at most ${rule.rate_limit.limit} in ${rule.rate_limit.window_seconds} s`);
  if (rule.concurrency != null) words.push(concurrencyWords(rule.concurrency));
  if (rule.retry != null) words.push(`up to ${rule.retry.max_attempts} attempts`);
  return words;
}

export function concurrencyWords(limit: components["schemas"]["Concurrency"]): string {
  const per = limit.key == null || limit.key === "" ? "" : ` per ${limit.key}`;
  const then = { queue: "others wait", skip: "others are skipped", cancel_previous: "the previous one is canceled" }[
    limit.overflow ?? "queue"
  ];
  return `at most ${limit.limit} at once${per}; ${then}`;
}
