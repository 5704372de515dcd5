import { queryOptions } from "@tanstack/react-query";
import { get, list, post } from "../../lib/http/client";
import type { Event, Schema } from "../../lib/schema";
import { everything } from "../definitions/api";
import type { Timer, TimerConfig } from "./model";

export type Occurrences = Schema<"Occurrences">;

export const timers = () =>
  queryOptions({
    queryKey: ["timers", "list"],
    queryFn: ({ signal }) => everything<Timer>("/api/v1/timers", {}, signal),
    staleTime: 5_000,
  });

/** Due occurrences of one timer, computed by the server. */
export const occurrences = (ref: string, from: string, to: string, limit = 200) =>
  queryOptions({
    queryKey: ["occurrences", ref, from, to, limit],
    queryFn: ({ signal }) =>
      get<Occurrences>(`/api/v1/triggers/${ref}/occurrences`, { query: { from, to, limit }, signal }),
    staleTime: 15_000,
  });

/** The newest events of a timer: what fired. */
export const firedEvents = (ref: string, since: string, limit = 200) =>
  queryOptions({
    queryKey: ["events", "list", { trigger_ref: ref, source: "timer", since, limit }],
    queryFn: ({ signal }) =>
      list<Event>("/api/v1/events", { query: { trigger_ref: ref, source: "timer", since, limit }, signal }),
    staleTime: 5_000,
  });

export const preview = async (
  config: TimerConfig,
  after: string | undefined,
  limit: number,
  signal: AbortSignal,
): Promise<Occurrences> =>
  (
    await post<Occurrences>(
      "/api/v1/timers/preview",
      { config, limit, ...(after == null ? {} : { after }) },
      { signal, background: true },
    )
  ).data;
