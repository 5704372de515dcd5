import { queryOptions } from "@tanstack/react-query";
import { get, list, post } from "../../lib/http/client";
import type { Event, Explanation, Schema } from "../../lib/schema";
import { type Verdict, verdictOf } from "./words";

export type Rule = Schema<"Rule">;
export type DryRun = Schema<"DryRun">;

export interface VerdictRow {
  eventId: string;
  receivedAt: string;
  pending: boolean;
  verdict?: Verdict;
  payload: unknown;
}

/** The latest events of the rule's trigger with the rule's verdict about each. One request per event, so only a few. */
export const verdicts = (rule: string, trigger: string, limit = 12) =>
  queryOptions({
    queryKey: ["rules", "verdicts", rule, limit],
    queryFn: async ({ signal }): Promise<VerdictRow[]> => {
      const events = await list<Event>("/api/v1/events", { query: { trigger_ref: trigger, limit }, signal });
      return Promise.all(
        events.data.map(async (event) => {
          const explained = await get<Explanation>(`/api/v1/events/${event.id}/explain`, {
            query: { rule_ref: rule },
            signal,
          });
          const mine = explained.rules.find((one) => one.rule_ref === rule);
          const row: VerdictRow = {
            eventId: event.id,
            receivedAt: event.received_at,
            pending: explained.status === "pending",
            payload: event.payload,
          };
          return mine == null ? row : { ...row, verdict: verdictOf(mine) };
        }),
      );
    },
    staleTime: 10_000,
  });

export const recentEvents = (trigger: string, limit = 20) =>
  queryOptions({
    queryKey: ["events", "list", { trigger_ref: trigger, limit }],
    queryFn: ({ signal }) => list<Event>("/api/v1/events", { query: { trigger_ref: trigger, limit }, signal }),
    enabled: trigger !== "",
    staleTime: 10_000,
  });

export interface TestInput {
  rule_ref?: string;
  condition?: unknown;
  action_ref?: string;
  action_params?: unknown;
  event_id?: string;
  payload?: unknown;
}

export const testRule = async (input: TestInput, signal: AbortSignal): Promise<DryRun> =>
  (await post<DryRun>("/api/v1/rules/test", input, { signal, background: true })).data;
