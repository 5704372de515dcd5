import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { list, post } from "../../lib/http/client";
import type { Enforcement, Event } from "../../lib/schema";
import { newId } from "../../lib/uuid";

export interface EventFilters {
  trigger_ref?: string | undefined;
  source?: string | undefined;
  status?: string | undefined;
  since?: string | undefined;
}

export function useEvents(filters: EventFilters) {
  return useInfiniteQuery({
    queryKey: ["events", "list", filters],
    queryFn: ({ pageParam, signal }) =>
      list<Event>("/api/v1/events", { query: { ...filters, limit: 100, cursor: pageParam }, signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.pagination.next ?? undefined,
  });
}

export const sendEvent = (trigger_ref: string, payload: unknown, key: string = newId()) =>
  post<Event>("/api/v1/events", { trigger_ref, payload }, { idempotencyKey: key });

/** A timer or a webhook takes events only through `fire`. */
export const sendAgain = (event: Event) =>
  event.source === "api"
    ? sendEvent(event.trigger_ref, event.payload)
    : post<Event>(
        `/api/v1/triggers/${event.trigger_ref}/fire`,
        { payload: event.payload },
        { idempotencyKey: newId() },
      );

/** The enforcements of the events on screen: one request for all of them. */
export function useEnforcementsSince(since: string | undefined) {
  return useQuery({
    queryKey: ["enforcements", "since", since],
    queryFn: ({ signal }) =>
      list<Enforcement>("/api/v1/enforcements", { query: { since, limit: 200 }, signal }).then((page) => ({
        items: page.data,
        /** Older ones than this are not in the answer. */
        from: page.pagination.next ? page.data.at(-1)?.created_at : undefined,
      })),
    enabled: since !== undefined,
    placeholderData: (before) => before,
  });
}
