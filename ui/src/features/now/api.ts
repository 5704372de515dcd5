import { useQuery } from "@tanstack/react-query";
import { list } from "../../lib/http/client";
import { useLiveRefetch } from "../../lib/live";
import type { Schema } from "../../lib/schema";

export type Timer = Schema<"Timer">;
export type Service = Schema<"Service">;
export type Rule = Schema<"Rule">;

/** All rules, for what a timer starts and for the first steps. */
export const useRules = () =>
  useQuery({
    queryKey: ["rules", "list", { limit: 200 }],
    queryFn: ({ signal }) => list<Rule>("/api/v1/rules", { query: { limit: 200 }, signal }).then((page) => page.data),
    staleTime: 30_000,
  });

export function useTimers() {
  const key = ["timers", "list", { limit: 200 }];
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) =>
      list<Timer>("/api/v1/timers", { query: { limit: 200 }, signal, background: true }).then((page) => page.data),
    refetchInterval: 30_000,
  });
  useLiveRefetch(key, { kinds: ["event.created", "definition.changed"], every: 2_000 });
  return query;
}

export const useServices = () =>
  useQuery({
    queryKey: ["services"],
    queryFn: ({ signal }) => list<Service>("/api/v1/services", { signal, background: true }).then((page) => page.data),
    refetchInterval: 5_000,
  });
