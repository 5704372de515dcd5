import type { Sentence } from "../../kit/sentence";
import { clockTime, date, dayKey, duration, ms } from "../../lib/time";
import type { ExecutionNode, RuleNode, Trace } from "./model";

export interface Fact {
  /** The node that the sentence is about. */
  node: string;
  text: Sentence;
}

const sources: Record<string, string> = {
  api: "was received through the API",
  manual: "was sent by hand",
  webhook: "was received by its webhook",
  timer: "was created by its timer",
  file_watch: "was created by a change of a file",
  system: "was reported by Attune itself",
};

/** The trace in words, one sentence per fact. It is also the accessible form of the graph. */
export function narrate(trace: Trace, zone: string, now: number): Fact[] {
  const facts: Fact[] = [];
  const { event } = trace;
  if (event) {
    const at = clockTime(event.received_at, zone, "ms");
    const day =
      dayKey(event.received_at, zone) === dayKey(now, zone) ? "" : ` on ${date(event.received_at, zone, now)}`;
    facts.push({
      node: event.id,
      text: [
        `At ${at}${day} an event for `,
        { strong: event.trigger_ref },
        ` ${sources[event.source] ?? "was created"}${lateWords(trace)}.`,
      ],
    });
    facts.push({ node: event.id, text: decision(trace) });
  }
  for (const rule of trace.rules) {
    if (rule.executions.length === 0) facts.push({ node: rule.id, text: without(rule) });
    for (const node of rule.executions) facts.push({ node: node.id, text: execution(node, rule) });
  }
  for (const node of trace.loose) facts.push({ node: node.id, text: execution(node, undefined) });
  if (trace.omitted > 0)
    facts.push({ node: trace.id, text: [`${trace.omitted} more rules of this trigger are not listed.`] });
  return facts;
}

function lateWords({ event }: Trace): string {
  if (!event?.scheduled_at) return "";
  const late = ms(event.received_at) - ms(event.scheduled_at);
  return late < 1_000 ? "" : `, ${duration(late)} late`;
}

function decision(trace: Trace): Sentence {
  const { event, decidedAt, rules } = trace;
  if (event?.status === "quarantined") return ["Its rules could not be evaluated, and it was quarantined."];
  if (event?.status === "pending") return ["Its rules have not been evaluated yet."];
  const total = rules.length + trace.omitted;
  const ran = rules.filter((rule) => rule.mark.word === "matched" || rule.enforcement?.status === "throttled").length;
  const length = event && decidedAt !== undefined ? ` ${duration(decidedAt - ms(event.received_at))} later` : "";
  if (total === 0) return [`Its trigger has no rules.`];
  return [`Its rules were evaluated${length}: ${ran} of ${total} matched.`];
}

function without(rule: RuleNode): Sentence {
  const name = { strong: rule.ref };
  switch (rule.mark.word) {
    case "disabled":
      return [name, " was disabled."];
    case "throttled":
      return [name, " matched but was throttled: ", ...rule.reason, "."];
    case "skipped":
      return [name, " matched but was skipped: ", ...rule.reason, "."];
    case "cannot be evaluated":
      return [name, " could not be evaluated: ", ...rule.reason, "."];
    case "did not match":
      return [name, " did not match: ", ...rule.reason, "."];
    default:
      return [name, " matched. Its execution does not exist yet."];
  }
}

function execution(node: ExecutionNode, rule: RuleNode | undefined): Sentence {
  const { execution: it } = node;
  const action = { strong: it.action_ref };
  const begin: Sentence = it.rerun_of
    ? [action, " was run again"]
    : rule
      ? [{ strong: rule.ref }, " started ", action]
      : [action, " was run by hand"];
  const wait = node.bars.find((bar) => bar.kind === "waited");
  if (!it.started_at) {
    if (it.status === "canceled") return [...begin, ". It was canceled before it ran."];
    if (it.status === "skipped") return [...begin, `. It was skipped${it.error ? `: ${it.error}` : ""}.`];
    return [...begin, `. It is waiting: ${it.waiting ?? wait?.text ?? "for a worker"}.`];
  }
  const waited =
    wait?.to !== undefined && wait.to - wait.from >= 1_000
      ? `. It waited ${duration(wait.to - wait.from)}, then `
      : ". It ";
  return [...begin, `${waited}${lifeWords(node)}.`];
}

function lifeWords({ execution: it, attempts }: ExecutionNode): string {
  const ended = attempts.filter((attempt) => attempt.started_at && attempt.ended_at);
  const running = it.status === "running" || it.status === "canceling";
  const length = it.duration_ms !== null ? duration(it.duration_ms) : undefined;
  const error = it.error ? ` with ${it.error}` : "";
  const first = ended[0];
  if (it.attempt > 1 && first?.started_at && first.ended_at) {
    const ran = duration(ms(first.ended_at) - ms(first.started_at));
    const before = `failed after ${ran}${first.reason ? ` with ${first.reason}` : ""} and was retried`;
    if (running) return `${before}; attempt ${it.attempt} is running`;
    const again =
      it.status === "succeeded"
        ? `succeeded in attempt ${it.attempt}`
        : `${verb(it.status)} again in attempt ${it.attempt}. No attempts are left`;
    return `${before}; it ${again}`;
  }
  if (running) return it.status === "canceling" ? "is being canceled" : "is running";
  if (it.status === "succeeded") return `ran for ${length ?? "an unknown time"} and succeeded`;
  return `${verb(it.status)}${length ? ` after ${length}` : ""}${it.status === "failed" ? error : ""}`;
}

const verb = (status: string): string =>
  ({ failed: "failed", timed_out: "timed out", canceled: "was canceled", lost: "was lost", skipped: "was skipped" })[
    status
  ] ?? status;
