import { queryOptions } from "@tanstack/react-query";
import { get } from "../../lib/http/client";
import { asProblem } from "../../lib/http/problem";
import type { Schema } from "../../lib/schema";
import { iso, ms, now } from "../../lib/time";
import { everything } from "../definitions/api";
import type { CalendarAnswer, Entry } from "./model";

interface Ask {
  from: string;
  to: string;
  pack_ref?: string | undefined;
  /** Two instants separated by `..`: simulates an outage. */
  down?: string | undefined;
  max_each: number;
}

export const calendar = (ask: Ask) =>
  queryOptions({
    queryKey: ["occurrences", "all", ask],
    queryFn: ({ signal }) => ofAll(ask, signal),
    staleTime: 15_000,
    refetchInterval: 60_000,
  });

async function ofAll(ask: Ask, signal: AbortSignal): Promise<CalendarAnswer> {
  try {
    return await get<CalendarAnswer>("/api/v1/timers/occurrences", { query: { ...ask }, signal });
  } catch (error) {
    if (asProblem(error).problem.status !== 404 || ask.down !== undefined) throw error;
    return ofEach(ask, signal);
  }
}

const TIMERS_MAX = 30;

/** For a server without the route for all timers: one request for each of the first 30. Its past is not included. */
async function ofEach(ask: Ask, signal: AbortSignal): Promise<CalendarAnswer> {
  const { to, pack_ref, max_each } = ask;
  const from = iso(Math.min(ms(to), Math.max(ms(ask.from), now())));
  const { items } = await everything<Schema<"TriggerView">>(
    "/api/v1/triggers",
    { kind: "timer", enabled: true, pack_ref },
    signal,
  );
  const answer: CalendarAnswer = {
    from,
    to,
    occurrences: [],
    dense: [],
    truncated: items.slice(TIMERS_MAX).map((one) => one.ref),
    outage: null,
  };
  await Promise.all(
    items.slice(0, TIMERS_MAX).map(async ({ ref }) => {
      const query = { from, to, limit: Math.min(200, max_each + 1) };
      const { occurrences } = await get<Schema<"Occurrences">>(`/api/v1/triggers/${ref}/occurrences`, {
        query,
        signal,
      });
      const [first, second] = occurrences;
      if (occurrences.length > max_each) {
        answer.dense.push({
          trigger_ref: ref,
          count: 0,
          first: first?.scheduled_at ?? null,
          second: second?.scheduled_at ?? null,
          outage: null,
        });
        return;
      }
      answer.occurrences.push(
        ...occurrences.map((one): Entry => ({ ...rest, ...one, note: one.note ?? null, trigger_ref: ref })),
      );
    }),
  );
  answer.occurrences.sort((a, b) => a.scheduled_at.localeCompare(b.scheduled_at));
  return answer;
}

const rest = { status: "due", event_id: null, late_ms: null, until: null, count: 1, reason: null, fate: null } as const;
