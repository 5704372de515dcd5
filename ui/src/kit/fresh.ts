import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { type Frame, useFrames, useGap } from "../lib/live";

interface Options {
  key: QueryKey;
  kinds: readonly string[];
  /** The id of the row that a frame is about. */
  idOf: (frame: Frame) => string | undefined;
  /** Whether a row that is not shown would be in this list. */
  fits: (frame: Frame) => boolean;
  shown: readonly { id: string }[] | undefined;
  /** Something is selected: nothing may move. */
  hold?: boolean;
}

/**
 * Keeps a list current without moving what the user looks at: new rows wait behind a pill unless the list is at its top
 * and nothing is selected or open.
 */
export function useFresh({ key, kinds, idOf, fits, shown, hold }: Options): { count: number; show: () => void } {
  const client = useQueryClient();
  const [waiting, setWaiting] = useState<ReadonlySet<string>>(new Set());
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const latest = useRef(key);
  latest.current = key;

  const refetch = useCallback(() => {
    clearTimeout(timer.current);
    timer.current = undefined;
    setWaiting(new Set());
    void client.invalidateQueries({ queryKey: latest.current });
  }, [client]);
  useEffect(() => () => clearTimeout(timer.current), []);
  useGap(refetch);
  useFrames(kinds, (frames) => {
    const known = new Set(shown?.map((row) => row.id));
    const added = frames.filter((frame) => !known.has(idOf(frame) ?? "") && fits(frame));
    if (added.length === 0 && !frames.some((frame) => known.has(idOf(frame) ?? ""))) return;
    const atTop = (document.getElementById("page")?.scrollTop ?? 0) < 40;
    const open = document.querySelector('[role="menu"], [role="dialog"]') !== null;
    if (atTop && !hold && !open) timer.current ??= setTimeout(refetch, 1_000);
    else if (added.length > 0) setWaiting((before) => new Set([...before, ...added.map((frame) => idOf(frame) ?? "")]));
  });
  const show = () => {
    document.getElementById("page")?.scrollTo({ top: 0 });
    refetch();
  };
  return { count: waiting.size, show };
}
