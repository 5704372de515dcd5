import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { act, list, remove } from "../../lib/http/client";
import type { Schema } from "../../lib/schema";
import type { Service } from "./model";

export type Quarantined = Schema<"Quarantined">;

export const services = () =>
  queryOptions({
    queryKey: ["services", "list"],
    queryFn: async ({ signal }) => (await list<Service>("/api/v1/services", { signal, background: true })).data,
    staleTime: 4_000,
    refetchInterval: 5_000,
  });

export const quarantined = () =>
  queryOptions({
    queryKey: ["queue", "list"],
    queryFn: ({ signal }) => list<Quarantined>("/api/v1/queue", { query: { limit: 100 }, signal, background: true }),
    staleTime: 4_000,
    refetchInterval: 10_000,
  });

export function useQueue() {
  const client = useQueryClient();
  const refresh = () => client.invalidateQueries({ queryKey: ["queue"] });
  const replay = useMutation({ mutationFn: (id: string) => act(`/api/v1/queue/${id}/replay`), onSettled: refresh });
  const discard = useMutation({ mutationFn: (id: string) => remove(`/api/v1/queue/${id}`), onSettled: refresh });
  return { replay, discard };
}
