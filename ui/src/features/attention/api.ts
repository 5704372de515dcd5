import { useQuery } from "@tanstack/react-query";
import { list, send } from "../../lib/http/client";
import { useLiveRefetch } from "../../lib/live";
import { isId } from "../../lib/uuid";

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
    queryFn: async ({ signal }) => (await list<AttentionItem>("/api/v1/attention", { signal, background: true })).data,
    refetchInterval: 10_000,
  });
  useLiveRefetch(attentionKey, { kinds: ["attention.changed"] });
  return query;
}

export const useAttentionCount = (): number => useAttention().data?.length ?? 0;

/** Does what the server proposes. */
export const fix = (item: AttentionItem): Promise<unknown> =>
  item.fix ? send(item.fix.method, item.fix.path, { body: item.fix.body ?? undefined }) : Promise.resolve();

/** The page where the cause can be seen. */
export function pageOf({ kind, ref }: AttentionItem): string | undefined {
  if (/pool|worker|service|unserved|disk|clock|load/.test(kind)) return "/workers";
  if (!ref) return undefined;
  if (/timer/.test(kind)) return `/timers/${ref}`;
  if (/webhook/.test(kind)) return `/webhooks/inbox?trigger_ref=${ref}`;
  if (/rule/.test(kind)) return `/rules/${ref}?tab=runs`;
  if (/event|quarantin/.test(kind)) return isId(ref) ? `/t/${ref}` : "/events?status=quarantined";
  return isId(ref) ? `/go/${ref}` : undefined;
}
