import { infiniteQueryOptions, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { act, get, list, post, type Query } from "../../lib/http/client";
import type { Event, Schema } from "../../lib/schema";
import { newId } from "../../lib/uuid";
import type { WebhookRequest } from "./model";

export const requests = (filters: Query) =>
  infiniteQueryOptions({
    queryKey: ["webhook-requests", "list", filters],
    queryFn: ({ pageParam, signal }) =>
      list<WebhookRequest>("/api/v1/webhook-requests", { query: { limit: 50, ...filters, cursor: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.pagination.next ?? undefined,
    staleTime: 3_000,
  });

export const requestOf = (id: string) =>
  queryOptions({
    queryKey: ["webhook-requests", "one", id],
    queryFn: ({ signal }) => get<WebhookRequest>(`/api/v1/webhook-requests/${id}`, { signal }),
    enabled: id !== "",
    staleTime: Number.POSITIVE_INFINITY,
  });

export function useRedeliver() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (id: string) =>
      (await act<Event>(`/api/v1/webhook-requests/${id}/redeliver`, { idempotencyKey: newId() })).data,
    onSuccess: () => client.invalidateQueries({ queryKey: ["webhook-requests"] }),
  });
}

export const rotateSecret = async (ref: string, overlap: number) =>
  (await post<Schema<"RotatedSecret">>(`/api/v1/triggers/${ref}/rotate-secret`, { overlap_seconds: overlap })).data;

export const rotateKey = async (ref: string, overlap: number) =>
  (await post<Schema<"RotatedKey">>(`/api/v1/triggers/${ref}/rotate-key`, { overlap_seconds: overlap })).data;
