import { infiniteQueryOptions } from "@tanstack/react-query";
import { list, type Query } from "../../lib/http/client";
import type { Schema } from "../../lib/schema";

export type AuditEntry = Schema<"AuditEntry">;

export const auditEntries = (filters: Query) =>
  infiniteQueryOptions({
    queryKey: ["audit", "list", filters],
    queryFn: ({ pageParam, signal }) =>
      list<AuditEntry>("/api/v1/audit", { query: { limit: 100, ...filters, cursor: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.pagination.next ?? undefined,
    staleTime: 5_000,
  });
