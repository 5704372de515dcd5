import type { Mark } from "../../kit/glyph";
import type { Sentence } from "../../kit/sentence";
import type { Attempt, Chain, ChainExecution, Enforcement, Event, Explained, Explanation } from "../../lib/schema";
import { ms } from "../../lib/time";
import { executionMark, isFinal, isProblem } from "../executions/model";

/** One bar or wait on the time axis, in milliseconds of the server's clock. */
export interface Bar {
  kind: "ran" | "waited" | "retry" | "late" | "decided";
  tone: Mark["tone"];
  from: number;
  /** Missing while it goes on. */
  to: number | undefined;
  text: string;
}

export interface ExecutionNode {
  id: string;
  execution: ChainExecution;
  mark: Mark;
  bars: Bar[];
  attempts: Attempt[];
}

export interface RuleNode {
  /** The id of its enforcement, or `rule:<ref>` when there is none. */
  id: string;
  ref: string;
  mark: Mark;
  /** Why there is no execution, or what is special. */
  reason: Sentence;
  explained: Explained | undefined;
  enforcement: Enforcement | undefined;
  executions: ExecutionNode[];
}

export interface Trace {
  id: string;
  event: Event | undefined;
  decidedAt: number | undefined;
  rules: RuleNode[];
  /** Executions that no rule started, and reruns whose rule is gone. */
  loose: ExecutionNode[];
  /** Rules of the trigger that are not listed. */
  omitted: number;
  more: boolean;
  from: number;
  /** Missing while anything can still happen. */
  to: number | undefined;
  worst: Mark;
}

const rank: Record<string, number> = { ran: 0, throttled: 1, failed: 2, not_matched: 3, off: 4 };

export function buildTrace(
  id: string,
  chain: Chain,
  explanation: Explanation | undefined,
  attempts: ReadonlyMap<string, Attempt[]>,
): Trace {
  const event = chain.event ?? undefined;
  const nodes = chain.executions.map((execution) => executionNode(execution, attempts.get(execution.id) ?? []));
  nodes.sort((a, b) => ms(a.execution.created_at) - ms(b.execution.created_at));
  const rules = ruleNodes(chain, explanation, nodes);
  const placed = new Set(rules.flatMap((rule) => rule.executions.map((node) => node.id)));
  const loose = nodes.filter((node) => !placed.has(node.id));
  const decided = explanation?.decided_at;
  const open =
    nodes.some((node) => !isFinal(node.execution.status)) || (event !== undefined && event.status === "pending");
  const moments = [
    event && ms(event.received_at),
    event?.scheduled_at && ms(event.scheduled_at),
    decided && ms(decided),
    ...nodes.flatMap(({ execution }) => [ms(execution.created_at), execution.finished_at && ms(execution.finished_at)]),
    ...chain.enforcements.map((enforcement) => ms(enforcement.created_at)),
  ].filter((moment): moment is number => typeof moment === "number" && !Number.isNaN(moment));
  return {
    id,
    event,
    decidedAt: decided ? ms(decided) : undefined,
    rules,
    loose,
    omitted: explanation?.omitted ?? 0,
    more: chain.more,
    from: moments.length > 0 ? Math.min(...moments) : 0,
    to: open ? undefined : Math.max(0, ...moments),
    worst: worstOf(event, nodes, rules),
  };
}

function worstOf(event: Event | undefined, nodes: ExecutionNode[], rules: RuleNode[]): Mark {
  if (event?.status === "quarantined") return { glyph: "attention", tone: "late", word: "quarantined" };
  const bad = nodes.filter((node) => isProblem(node.execution.status));
  if (bad[0]) return { ...bad[0].mark, word: bad.length === 1 ? bad[0].mark.word : `${bad.length} failed` };
  const open = nodes.find((node) => !isFinal(node.execution.status));
  if (open) return open.mark;
  if (event?.status === "pending") return { glyph: "open", tone: "wait", word: "pending" };
  if (rules.some((rule) => rule.mark.tone === "lost"))
    return { glyph: "lost", tone: "lost", word: "could not be evaluated" };
  if (nodes[0]) return nodes[0].mark;
  const throttled = rules.find((rule) => rule.enforcement?.status === "throttled");
  if (throttled) return throttled.mark;
  return { glyph: "not_matched", tone: "quiet", word: "no rule matched" };
}

function executionNode(execution: ChainExecution, attempts: Attempt[]): ExecutionNode {
  return {
    id: execution.id,
    execution,
    mark: executionMark(execution.status),
    bars: barsOf(execution, attempts),
    attempts,
  };
}

function barsOf(execution: ChainExecution, attempts: Attempt[]): Bar[] {
  const bars: Bar[] = [];
  const known = attempts.filter((attempt) => attempt.started_at !== null);
  const runs =
    known.length > 0
      ? known.map((attempt) => ({
          from: ms(attempt.started_at ?? 0),
          to: attempt.ended_at ? ms(attempt.ended_at) : undefined,
          outcome: attempt.outcome ?? "running",
          text: attempt.reason ?? attempt.outcome ?? "running",
        }))
      : execution.started_at
        ? [
            {
              from: ms(execution.started_at),
              to: execution.finished_at ? ms(execution.finished_at) : undefined,
              outcome: execution.status as string,
              text: execution.error ?? executionMark(execution.status).word,
            },
          ]
        : [];
  let at = ms(execution.created_at);
  for (const [index, run] of runs.entries()) {
    // A wait of a few milliseconds is not worth a bar.
    if (run.from - at > 20) {
      bars.push({
        kind: index === 0 ? "waited" : "retry",
        tone: "wait",
        from: at,
        to: run.from,
        text: index === 0 ? "waited for a worker or a limit" : "waited to retry",
      });
    }
    const mark = executionMark(run.outcome as ChainExecution["status"]) ?? executionMark("lost");
    bars.push({ kind: "ran", tone: mark.tone, from: run.from, to: run.to, text: run.text });
    at = run.to ?? at;
  }
  if (!isFinal(execution.status) && execution.status !== "running" && execution.status !== "canceling") {
    bars.push({
      kind: "waited",
      tone: "wait",
      from: at,
      to: undefined,
      text: execution.waiting ?? "waiting for a worker",
    });
  }
  return bars;
}

function ruleNodes(chain: Chain, explanation: Explanation | undefined, nodes: ExecutionNode[]): RuleNode[] {
  const explained = new Map(explanation?.rules.map((rule) => [rule.rule_ref, rule]));
  const enforcements = new Map(chain.enforcements.map((enforcement) => [enforcement.rule_ref, enforcement]));
  const refs = new Set([...explained.keys(), ...enforcements.keys()]);
  for (const { execution } of nodes) if (execution.rule_ref) refs.add(execution.rule_ref);
  const rules = [...refs].map((ref) =>
    ruleNode(
      ref,
      explained.get(ref),
      enforcements.get(ref),
      nodes.filter((node) => node.execution.rule_ref === ref),
    ),
  );
  return rules.sort((a, b) => rankOf(a) - rankOf(b) || a.ref.localeCompare(b.ref));
}

const rankOf = (rule: RuleNode): number => {
  if (rule.executions.length > 0) return rank.ran ?? 0;
  if (rule.enforcement?.status === "throttled" || rule.enforcement?.status === "skipped") return rank.throttled ?? 1;
  if (rule.mark.tone === "lost") return rank.failed ?? 2;
  return rule.mark.glyph === "off" ? (rank.off ?? 4) : (rank.not_matched ?? 3);
};

function ruleNode(
  ref: string,
  explained: Explained | undefined,
  enforcement: Enforcement | undefined,
  executions: ExecutionNode[],
): RuleNode {
  const [mark, reason] = verdict(explained, enforcement);
  return { id: enforcement?.id ?? `rule:${ref}`, ref, mark, reason, explained, enforcement, executions };
}

const matched: Mark = { glyph: "done", tone: "ok", word: "matched" };
const off: Mark = { glyph: "off", tone: "quiet", word: "disabled" };
const notMatched: Mark = { glyph: "not_matched", tone: "quiet", word: "did not match" };
const undecidable: Mark = { glyph: "lost", tone: "lost", word: "cannot be evaluated" };
const throttled: Mark = { glyph: "skipped", tone: "late", word: "throttled" };
const skipped: Mark = { glyph: "skipped", tone: "late", word: "skipped" };

function verdict(explained: Explained | undefined, enforcement: Enforcement | undefined): [Mark, Sentence] {
  const reason = enforcement?.reason ?? (explained && "reason" in explained ? explained.reason : undefined);
  if (enforcement?.status === "throttled") return [throttled, [limitWords(reason ?? "a limit")]];
  if (enforcement?.status === "skipped") return [skipped, [limitWords(reason ?? "a limit")]];
  if (enforcement?.status === "failed" || explained?.decision === "fail")
    return [undecidable, [reason ?? "the reason is not stored"]];
  if (enforcement || explained?.decision === "enforce") return [matched, []];
  if (explained?.decision !== "skip") return [matched, []];
  switch (explained.why.why) {
    case "disabled":
      return [off, ["is disabled"]];
    case "created_later":
      return [notMatched, ["was created after this event"]];
    default:
      return [notMatched, clauseWords(explained.why.clause)];
  }
}

/** `rate_limit: 1 in 60 seconds` as words. */
export function limitWords(reason: string): string {
  const rate = /^rate_limit: (\d+) in (\d+) seconds?$/.exec(reason);
  if (rate) return `limit of ${rate[1]} per ${rate[2]} seconds`;
  return reason.replace(/^concurrency: /, "concurrency limit: ");
}

const operators: Record<string, string> = {
  equals: "must be",
  not_equals: "must not be",
  greater_than: "must be greater than",
  greater_than_or_equal: "must be at least",
  less_than: "must be less than",
  less_than_or_equal: "must be at most",
  contains: "must contain",
  not_contains: "must not contain",
  starts_with: "must start with",
  ends_with: "must end with",
  matches: "must match",
  matches_wildcard: "must match",
  in: "must be one of",
  not_in: "must not be one of",
  younger_than: "must be younger than",
  older_than: "must be older than",
};

interface ClauseView {
  path: string;
  operator: string;
  expected?: unknown;
  actual?: unknown;
}

/** `payload.total is 50, must be greater than 100`. */
export function clauseWords(clause: ClauseView): Sentence {
  const path = clause.path.replace(/^event\./, "");
  const value = (each: unknown) => (each === undefined ? "missing" : JSON.stringify(each));
  if (clause.operator === "exists") {
    return [{ code: path }, clause.expected === false ? " exists but must not" : " is missing but must exist"];
  }
  const needs = operators[clause.operator] ?? `must satisfy ${clause.operator}`;
  const expected = ` ${value(clause.expected)}`;
  const actual = clause.actual === undefined ? "is missing" : `is ${value(clause.actual)}`;
  return [{ code: path }, ` ${actual}, ${needs}${expected}`];
}

/** All nodes in the order of the words, for the arrow keys. */
export function nodeIds(trace: Trace): string[] {
  return [
    ...(trace.event ? [trace.event.id] : []),
    ...trace.rules.flatMap((rule) => [rule.id, ...rule.executions.map((node) => node.id)]),
    ...trace.loose.map((node) => node.id),
  ];
}
