import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { act, get, list, post } from "../../lib/http/client";
import { useLiveRefetch } from "../../lib/live";
import type { Attempt, Execution, ExecutionSummary } from "../../lib/schema";
import { newId } from "../../lib/uuid";
import { isFinal } from "./model";

export interface ExecutionFilters {
  status?: string | undefined;
  rule_ref?: string | undefined;
  action_ref?: string | undefined;
  event_id?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

const pageSize = 100;

export function useExecutions(filters: ExecutionFilters) {
  return useInfiniteQuery({
    queryKey: ["executions", "list", filters],
    queryFn: ({ pageParam, signal }) =>
      list<ExecutionSummary>("/api/v1/executions", {
        query: { ...filters, view: "summary", limit: pageSize, cursor: pageParam },
        signal,
      }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.pagination.next ?? undefined,
  });
}

/** A few of the latest, for the page Now. */
export function useLatestExecutions(limit: number) {
  const key = ["executions", "latest", limit];
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) =>
      list<ExecutionSummary>("/api/v1/executions", { query: { view: "summary", limit }, signal }).then(
        (page) => page.data,
      ),
  });
  useLiveRefetch(key, { kinds: ["execution"], every: 1_000 });
  return query;
}

export function useExecution(id: string) {
  const key = ["executions", "one", id];
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => get<Execution>(`/api/v1/executions/${id}`, { signal }),
    staleTime: ({ state }) => (state.data && isFinal(state.data.status) ? Number.POSITIVE_INFINITY : 1_000),
  });
  useLiveRefetch(key, { kinds: ["execution"], matches: (frame) => frame.execution_id === id, every: 250 });
  return query;
}

export function useAttempts(id: string, version: string) {
  return useQuery({
    queryKey: ["executions", "one", id, "attempts", version],
    queryFn: ({ signal }) => list<Attempt>(`/api/v1/executions/${id}/attempts`, { signal }).then((page) => page.data),
    placeholderData: (before) => before,
  });
}

/** Cancels one; the answer is its state after that. */
export const cancelExecution = (id: string) => act<Execution>(`/api/v1/executions/${id}/cancel`);

/** The same action with the same parameters again. */
export const rerunExecution = (id: string) =>
  act<Execution>(`/api/v1/executions/${id}/rerun`, { idempotencyKey: newId() });

/** One verb for several executions, one after the other. Says how many were refused, and why. */
export function useBatch(verb: (id: string) => Promise<unknown>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (ids: readonly string[]) => {
      const refused: { id: string; why: string }[] = [];
      for (const id of ids) {
        try {
          await verb(id);
        } catch (error) {
          refused.push({ id, why: (error as Error).message });
        }
      }
      return { done: ids.length - refused.length, refused };
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["executions"] }),
  });
}

export function useRun() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ action_ref, parameters, key }: { action_ref: string; parameters: unknown; key?: string }) =>
      post<Execution>("/api/v1/executions", { action_ref, parameters }, { idempotencyKey: key ?? newId() }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["executions"] }),
  });
}
