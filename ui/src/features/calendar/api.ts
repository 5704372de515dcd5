import { queryOptions } from "@tanstack/react-query";
import { get } from "../../lib/http/client";
import type { CalendarAnswer } from "./model";

interface Ask {
  from: string;
  to: string;
  pack_ref?: string | undefined;
  /** Two instants separated by `..`: simulates an outage. */
  down?: string | undefined;
  max_each: number;
}

export const calendar = (ask: Ask) =>
  queryOptions({
    queryKey: ["occurrences", "all", ask],
    queryFn: ({ signal }) => get<CalendarAnswer>("/api/v1/timers/occurrences", { query: { ...ask }, signal }),
    staleTime: 15_000,
    refetchInterval: 60_000,
  });
