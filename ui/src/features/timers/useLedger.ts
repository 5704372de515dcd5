import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useLiveRefetch } from "../../lib/live";
import type { Event } from "../../lib/schema";
import { iso, ms, useNow } from "../../lib/time";
import { firedEvents, occurrences } from "./api";
import { type Gap, ticksOf } from "./ledger";
import type { Timer } from "./model";

export type Range = "1h" | "24h" | "7d" | "30d";
const HOUR = 3_600_000;
export const PAST: Record<Range, number> = { "1h": HOUR, "24h": 24 * HOUR, "7d": 168 * HOUR, "30d": 720 * HOUR };

/** The occurrences of a timer around now: what the server stored and what it plans. */
export function useLedger(timer: Timer, range: Range) {
  const now = useNow(60);
  const from = now - PAST[range];
  const to = now + PAST[range] / 2;
  const fired = useQuery(firedEvents(timer.trigger_ref, iso(from)));
  const due = useQuery({ ...occurrences(timer.trigger_ref, iso(now), iso(to)), enabled: timer.enabled });
  useLiveRefetch(["events", "list"], {
    kinds: ["event.created"],
    matches: (frame) => frame.trigger_ref === timer.trigger_ref,
    every: 5_000,
  });
  const grace = (timer.config.grace_seconds ?? 10) * 1000;
  const events = fired.data?.data;
  const ticks = useMemo(
    () =>
      ticksOf(
        (events ?? []).map(firedOf),
        (timer.gaps as unknown as Gap[]).map((gap) => ({
          from: ms(gap.from_at),
          to: ms(gap.to_at),
          missed: gap.missed,
          reason: gap.reason,
        })),
        (due.data?.occurrences ?? []).map((one) => ({
          at: ms(one.scheduled_at),
          local: one.local_time,
          note: one.note ?? null,
        })),
        grace,
      ).filter((tick) => tick.at >= from),
    [events, due.data, timer.gaps, grace, from],
  );
  // The server gives the newest events of a page. Older ones of the range are not on the strip.
  const cut = fired.data?.pagination.next != null;
  const oldest = events?.at(-1);
  return {
    ticks,
    from: cut && oldest != null ? ms(oldest.received_at) : from,
    to,
    cut,
    shown: events?.length ?? 0,
    due,
    fired,
  };
}

function firedOf(event: Event) {
  const payload = (event.payload ?? {}) as { late_ms?: unknown };
  return {
    id: event.id,
    scheduledAt: event.scheduled_at == null ? null : ms(event.scheduled_at),
    lateMs: typeof payload.late_ms === "number" ? payload.late_ms : null,
  };
}
