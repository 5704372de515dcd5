import { useInfiniteQuery } from "@tanstack/react-query";
import { list, post } from "../../lib/http/client";
import type { Event } from "../../lib/schema";
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
