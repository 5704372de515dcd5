import { queryOptions } from "@tanstack/react-query";
import { list, put, send } from "../../lib/http/client";
import type { Schema } from "../../lib/schema";

export type Retention = Schema<"Retention">;

export interface Health {
  status: string;
  version?: string;
  timezone_data?: string;
  uptime_seconds?: number;
  reason?: string;
  [part: string]: unknown;
}

export const retention = () =>
  queryOptions({
    queryKey: ["retention"],
    queryFn: async ({ signal }) => (await list<Retention>("/api/v1/retention", { signal })).data,
    staleTime: 30_000,
  });

/** The health is not in an envelope. */
export const health = () =>
  queryOptions({
    queryKey: ["health"],
    queryFn: async ({ signal }) =>
      (await (await send("GET", "/health", { signal, background: true })).json()) as Health,
    staleTime: 5_000,
    refetchInterval: 10_000,
  });

export const changePassword = (current_password: string, new_password: string) =>
  put("/auth/password", { current_password, new_password });
