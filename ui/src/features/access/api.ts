import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { patch, post, remove } from "../../lib/http/client";
import type { Identity, Role, Schema } from "../../lib/schema";
import { everything } from "../definitions/api";

export type ApiToken = Schema<"ApiToken">;
export type NewToken = Schema<"NewToken">;

export const identities = () =>
  queryOptions({
    queryKey: ["identities", "list"],
    queryFn: ({ signal }) => everything<Identity>("/api/v1/identities", {}, signal),
    staleTime: 10_000,
  });

export const tokens = () =>
  queryOptions({
    queryKey: ["tokens", "list"],
    queryFn: ({ signal }) => everything<ApiToken>("/api/v1/tokens", {}, signal),
    staleTime: 10_000,
  });

export interface NewIdentity {
  login: string;
  display_name?: string;
  password: string;
  role: Role;
}

export function useIdentities() {
  const client = useQueryClient();
  const onSuccess = () => client.invalidateQueries({ queryKey: ["identities"] });
  const create = useMutation({
    mutationFn: (form: NewIdentity) => post<Identity>("/api/v1/identities", form),
    onSuccess,
  });
  const change = useMutation({
    mutationFn: ({ id, ...form }: { id: number; role?: Role; enabled?: boolean; display_name?: string }) =>
      patch<Identity>(`/api/v1/identities/${id}`, form),
    onSuccess,
  });
  return { create, change };
}

export function useTokens() {
  const client = useQueryClient();
  const onSuccess = () => client.invalidateQueries({ queryKey: ["tokens"] });
  const create = useMutation({
    mutationFn: (form: { label: string; role: Role; expires_at?: string }) => post<NewToken>("/api/v1/tokens", form),
    onSuccess,
    gcTime: 0,
  });
  const revoke = useMutation({ mutationFn: (id: number) => remove(`/api/v1/tokens/${id}`), onSuccess });
  return { create, revoke };
}
