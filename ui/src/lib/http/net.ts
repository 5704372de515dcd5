import { store } from "../store";

export interface Net {
  /** When requests began to get no answer, in milliseconds of the browser's clock. */
  unreachableSince: number | undefined;
  limited: boolean;
}

export const net = store<Net>({ unreachableSince: undefined, limited: false });

export function noteAnswer(how: "ok" | "limited") {
  const limited = how === "limited";
  net.set((now) =>
    now.unreachableSince === undefined && now.limited === limited ? now : { unreachableSince: undefined, limited },
  );
}

export function noteNoAnswer() {
  net.set((now) => (now.unreachableSince === undefined ? { ...now, unreachableSince: Date.now() } : now));
}
