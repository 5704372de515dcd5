import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";

export type UrlState = Record<string, string | undefined>;

/** The query of the address as the state of the page. `undefined` removes a name. */
export function useUrl(): [UrlState, (change: UrlState, how?: { push?: boolean }) => void] {
  const search = useSearch({ strict: false }) as UrlState;
  const navigate = useNavigate();
  const set = useCallback(
    (change: UrlState, how?: { push?: boolean }) => {
      void navigate({
        to: ".",
        search: ((now: UrlState) => clean({ ...now, ...change })) as never,
        replace: !how?.push,
        resetScroll: false,
      });
    },
    [navigate],
  );
  return [search, set];
}

function clean(state: UrlState): UrlState {
  return Object.fromEntries(Object.entries(state).filter(([, value]) => value !== undefined && value !== ""));
}
