import { useQuery } from "@tanstack/react-query";
import { get, list } from "../../lib/http/client";
import { useLiveRefetch } from "../../lib/live";
import type { Attempt, Chain, Explanation } from "../../lib/schema";
import { buildTrace, type Trace } from "./model";

/** Only the first retried executions are asked for their attempts; the budget of a page is a few requests. */
const attemptsMax = 12;

async function load(id: string, signal: AbortSignal): Promise<Trace> {
  const chain = await get<Chain>(`/api/v1/traces/${id}`, { query: { view: "summary" }, signal });
  const retried = chain.executions.filter((execution) => execution.attempt > 1).slice(0, attemptsMax);
  const [explanation, ...attempts] = await Promise.all([
    chain.event
      ? get<Explanation>(`/api/v1/events/${chain.event.id}/explain`, { query: { limit: 200 }, signal })
      : undefined,
    ...retried.map((execution) =>
      list<Attempt>(`/api/v1/executions/${execution.id}/attempts`, { signal }).then(
        (page) => [execution.id, page.data] as const,
      ),
    ),
  ]);
  return buildTrace(id, chain, explanation, new Map(attempts));
}

export function useTrace(id: string) {
  const key = ["trace", id];
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => load(id, signal),
    // The stream has no frame for an event that no rule matched.
    refetchInterval: ({ state }) => (state.data?.event?.status === "pending" ? 1_000 : false),
  });
  const trace = query.data;
  useLiveRefetch(key, {
    kinds: ["event", "enforcement", "execution"],
    every: 300,
    matches: (frame) => {
      if (!trace) return false;
      if (frame.event_id && frame.event_id === trace.event?.id) return true;
      const nodes = [...trace.loose, ...trace.rules.flatMap((rule) => rule.executions)];
      // A rerun names neither the event nor the original: one of the same action may be it.
      return nodes.some(
        (node) => node.id === frame.execution_id || (!frame.event_id && node.execution.action_ref === frame.action_ref),
      );
    },
  });
  return query;
}
