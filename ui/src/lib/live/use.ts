import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { useStore } from "../store";
import { onFrames, onGap } from "./bus";
import { concerns, type Frame } from "./frame";
import { live } from "./status";

export interface Subscription {
  /** `execution`, `event.created` … */
  kinds: readonly string[];
  /** Which frames of these kinds; all without it. */
  matches?: (frame: Frame) => boolean;
  /** At most one refetch per this time, in milliseconds. */
  every?: number;
}

/**
 * Refetches a query when a frame concerns it, after a gap, and every 5 s while there is no stream.
 * Nothing happens while the user has paused live updates.
 */
export function useLiveRefetch(key: QueryKey, subscription: Subscription) {
  const client = useQueryClient();
  const { state } = useStore(live);
  const current = useRef({ key, subscription });
  current.current = { key, subscription };

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last = 0;
    const refetch = () => {
      timer = undefined;
      last = performance.now();
      void client.invalidateQueries({ queryKey: current.current.key });
    };
    const soon = () => {
      if (live.get().state === "paused" || timer) return;
      const every = current.current.subscription.every ?? 2_000;
      timer = setTimeout(refetch, Math.max(0, last + every - performance.now()));
    };
    const offFrames = onFrames((frames) => {
      const { kinds, matches } = current.current.subscription;
      if (frames.some((frame) => concerns(frame, kinds) && (!matches || matches(frame)))) soon();
    });
    const offGap = onGap(soon);
    return () => {
      offFrames();
      offGap();
      clearTimeout(timer);
    };
  }, [client]);

  useEffect(() => {
    if (state !== "polling" && state !== "reconnecting") return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void client.invalidateQueries({ queryKey: current.current.key });
    }, 5_000);
    return () => clearInterval(timer);
  }, [client, state]);
}

/** Calls back with the frames that concern it. */
export function useFrames(kinds: readonly string[], onBatch: (frames: Frame[]) => void) {
  const callback = useRef(onBatch);
  callback.current = onBatch;
  const key = kinds.join();
  useEffect(
    () =>
      onFrames((frames) => {
        if (live.get().state === "paused") return;
        const mine = frames.filter((frame) => concerns(frame, key.split(",")));
        if (mine.length > 0) callback.current(mine);
      }),
    [key],
  );
}

/** Calls back after messages were missed. */
export function useGap(run: () => void) {
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => onGap(() => latest.current()), []);
}
