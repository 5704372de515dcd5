import { useQuery } from "@tanstack/react-query";
import { list } from "../../lib/http/client";
import { asProblem } from "../../lib/http/problem";
import { useLiveRefetch } from "../../lib/live";

export interface AttentionItem {
  id: string;
  severity: "bad" | "warn";
  kind: string;
  ref?: string | null;
  since?: string | null;
  says: string;
  fix?: { label: string; method: string; path: string; body?: unknown } | null;
}

const attentionKey = ["attention"] as const;

export function useAttention() {
  const query = useQuery({
    queryKey: attentionKey,
    queryFn: async ({ signal }) => {
      try {
        return (await list<AttentionItem>("/api/v1/attention", { signal, background: true })).data;
      } catch (error) {
        if (asProblem(error).problem.status === 404) return [];
        throw error;
      }
    },
    refetchInterval: 10_000,
  });
  useLiveRefetch(attentionKey, { kinds: ["attention.changed"] });
  return query;
}

export const useAttentionCount = (): number => useAttention().data?.length ?? 0;
