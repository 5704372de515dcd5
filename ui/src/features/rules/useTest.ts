import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Answer, useAnswer } from "../definitions/useAnswer";
import { type DryRun, recentEvents, type TestInput, testRule } from "./api";
import { conditionOf } from "./condition";
import type { RuleDraft } from "./draft";
import type { Sample } from "./TestPanel";

/** Tests the draft against a stored event or a sample, after each pause in typing. */
export function useTest(draft: RuleDraft): {
  sample: Sample;
  setSample: (next: Sample) => void;
  answer: Answer<DryRun>;
  sampleError: string | undefined;
} {
  const [sample, setSample] = useState<Sample>({ source: "event", eventId: "", text: "{}" });
  const events = useQuery(recentEvents(draft.trigger_ref));
  const stored = events.data?.data ?? [];
  const chosen = stored.find((event) => event.id === sample.eventId) ?? stored[0];
  const payload = parsed(sample.text);
  const base: TestInput = { condition: conditionOf(draft.condition), action_params: draft.params };
  if (draft.action_ref !== "") base.action_ref = draft.action_ref;
  let input: TestInput | undefined;
  if (sample.source === "event" && chosen !== undefined) input = { ...base, event_id: chosen.id };
  else if (sample.source === "sample" && !("error" in payload)) input = { ...base, payload: payload.value };
  const answer = useAnswer<TestInput, DryRun>(input, testRule);
  return { sample, setSample, answer, sampleError: "error" in payload ? payload.error : undefined };
}

function parsed(text: string): { value: unknown } | { error: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : "not JSON" };
  }
}
