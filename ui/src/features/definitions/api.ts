import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { toast } from "../../kit/toast";
import { act, get, getTagged, list, type Page, type Query, remove } from "../../lib/http/client";
import { asProblem } from "../../lib/http/problem";

/** Nouns of the API that are definitions: they have a ref, and can be listed, read and removed. */
export type Noun = "triggers" | "rules" | "actions" | "packs" | "runtimes";

const PAGES_MAX = 10;

/** A list of definitions as a whole: there are few of them. `more` says that it was cut. */
export async function everything<T>(
  path: string,
  query: Query,
  signal?: AbortSignal,
): Promise<{ items: T[]; more: boolean }> {
  const items: T[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer: Page<T> = await list<T>(path, { query: { limit: 200, ...query, cursor }, signal });
    items.push(...answer.data);
    cursor = answer.pagination.next;
    if (cursor == null) return { items, more: false };
  }
  return { items, more: true };
}

export const listOf = <T>(noun: Noun, query: Query = {}) =>
  queryOptions({
    queryKey: [noun, "list", query],
    queryFn: ({ signal }) => everything<T>(`/api/v1/${noun}`, query, signal),
    staleTime: 30_000,
  });

export const oneOf = <T>(noun: Noun, ref: string) =>
  queryOptions({
    queryKey: [noun, "one", ref],
    queryFn: ({ signal }) => get<T>(`/api/v1/${noun}/${ref}`, { signal }),
    staleTime: 30_000,
  });

/** With its version, for an editor. Not refetched while it is edited. */
export const forEditing = <T>(noun: Noun, ref: string) =>
  queryOptions({
    queryKey: [noun, "edit", ref],
    queryFn: ({ signal }) => getTagged<T>(`/api/v1/${noun}/${ref}`, { signal }),
    staleTime: 0,
    gcTime: 0,
    refetchOnMount: false as const,
  });

/** What changes when a definition changes. */
export function useRefresh() {
  const client = useQueryClient();
  return (noun: Noun) => {
    void client.invalidateQueries({ queryKey: [noun] });
    if (noun === "triggers" || noun === "packs") void client.invalidateQueries({ queryKey: ["timers"] });
  };
}

/** Enables or disables at once, and offers to take it back. */
export function useSwitch(noun: "triggers" | "rules" | "packs") {
  const refresh = useRefresh();
  const mutation = useMutation({
    mutationFn: ({ ref, on }: { ref: string; on: boolean }) =>
      act(`/api/v1/${noun}/${ref}/${on ? "enable" : "disable"}`),
    onSettled: () => refresh(noun),
  });
  const change = (ref: string, on: boolean, undoable = true) =>
    mutation.mutate(
      { ref, on },
      {
        onSuccess: () =>
          toast(`${ref} is ${on ? "enabled" : "disabled"}.`, {
            tone: "ok",
            undo: undoable ? () => change(ref, !on, false) : undefined,
          }),
        onError: (error) =>
          toast(`${ref} was not ${on ? "enabled" : "disabled"}: ${asProblem(error).problem.detail}`, { tone: "bad" }),
      },
    );
  const waiting = mutation.isPending ? mutation.variables : undefined;
  /** What to show for `ref` while the server has not answered. */
  const shown = (ref: string, stored: boolean) => (waiting?.ref === ref ? waiting.on : stored);
  return { change, shown };
}

export function useRemove(noun: Noun, query = "") {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (ref: string) => remove(`/api/v1/${noun}/${ref}${query}`),
    onSuccess: (_, ref) => {
      refresh(noun);
      toast(`${ref} was deleted.`, { tone: "ok" });
    },
  });
}
