import { queryOptions } from "@tanstack/react-query";
import { list, urlOf } from "../../lib/http/client";
import type { Schema } from "../../lib/schema";

export type Pack = Schema<"Pack">;
export type FileEntry = Schema<"FileEntry">;

export const filesOf = (ref: string) =>
  queryOptions({
    queryKey: ["packs", "files", ref],
    queryFn: async ({ signal }) => (await list<FileEntry>(`/api/v1/packs/${ref}/files`, { signal })).data,
    staleTime: 30_000,
  });

export const archiveUrl = (ref: string) => urlOf(`/api/v1/packs/${ref}/archive`);
