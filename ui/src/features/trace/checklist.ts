import { plain } from "../../kit/sentence";
import { duration, ms } from "../../lib/time";
import { isFinal } from "../executions/model";
import type { RuleNode, Trace } from "./model";

export interface Check {
  question: string;
  /** Missing when it does not apply or is not known. */
  ok: boolean | undefined;
  fact: string;
}

export interface Step {
  label: string;
  /** A page that fixes the first broken link. */
  to: string;
}

/** Did it run? Seven questions from the trigger to the outcome; the first ✗ is the answer. */
export function checklist(trace: Trace, rule: RuleNode): { checks: Check[]; next: Step | undefined } {
  const { event } = trace;
  const checks: Check[] = [];
  const add = (question: string, ok: boolean | undefined, fact: string) => checks.push({ question, ok, fact });

  add(
    "Trigger enabled?",
    event ? true : undefined,
    event ? `${event.trigger_ref} was enabled: it created this event` : "not known",
  );
  add("Occurrence due, or request received?", event ? true : undefined, event ? receivedFact(trace) : "no event");
  add("Event created?", event ? true : undefined, event ? `…${event.id.slice(-8)}` : "the event is no longer stored");
  const decided = event?.status === "decided";
  add(
    "Event evaluated?",
    event ? decided : undefined,
    event?.status === "quarantined" ? "it is quarantined" : decided ? evaluatedFact(trace) : "not yet",
  );
  const why = rule.explained?.decision === "skip" ? rule.explained.why.why : undefined;
  const ready = why !== "disabled" && why !== "created_later";
  add(
    "Rule enabled and older than the event?",
    decided ? ready : undefined,
    ready ? "yes" : `it ${plain(rule.reason)}`,
  );
  const matched = rule.mark.word === "matched" || rule.mark.word === "throttled" || rule.mark.word === "skipped";
  add(
    "Condition matched?",
    decided && ready ? matched : undefined,
    matched ? "yes" : ready ? plain(rule.reason) : "not evaluated",
  );
  const limited = rule.mark.word === "throttled" || rule.mark.word === "skipped";
  add(
    "Within limits?",
    matched ? !limited : undefined,
    limited ? plain(rule.reason) : matched ? "yes" : "not evaluated",
  );
  const last = rule.executions.at(-1)?.execution;
  const done = last ? (isFinal(last.status) ? last.status === "succeeded" : undefined) : undefined;
  add("Outcome?", done, last ? (last.waiting ?? last.error ?? last.status.replace("_", " ")) : "no execution");
  return { checks, next: nextStep(rule, trace) };
}

function receivedFact({ event }: Trace): string {
  if (!event) return "";
  if (!event.scheduled_at) return `received (${event.source})`;
  const late = ms(event.received_at) - ms(event.scheduled_at);
  return late < 1_000 ? "due and on time" : `due, and ${duration(late)} late`;
}

function evaluatedFact({ event, decidedAt }: Trace): string {
  return event && decidedAt !== undefined ? `after ${duration(decidedAt - ms(event.received_at))}` : "yes";
}

function nextStep(rule: RuleNode, trace: Trace): Step | undefined {
  const last = rule.executions.at(-1)?.execution;
  if (rule.mark.word === "disabled") return { label: "Open the rule to enable it", to: `/rules/${rule.ref}` };
  if (rule.mark.word === "did not match" || rule.mark.word === "cannot be evaluated") {
    const event = trace.event ? `?event=${trace.event.id}` : "";
    return { label: "Edit the condition", to: `/rules/${rule.ref}/edit${event}` };
  }
  if (rule.mark.word === "throttled" || rule.mark.word === "skipped")
    return { label: "Edit the limits", to: `/rules/${rule.ref}/edit` };
  if (last?.waiting && /worker|pool/.test(last.waiting)) return { label: "Show the workers", to: "/workers" };
  if (last && isFinal(last.status) && last.status !== "succeeded")
    return { label: "Open the execution", to: `/executions/${last.id}` };
  return undefined;
}
