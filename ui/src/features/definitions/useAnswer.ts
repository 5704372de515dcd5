import { useEffect, useRef, useState } from "react";
import { asProblem, type ProblemError } from "../../lib/http/problem";

export interface Answer<T> {
  /** The newest answer; an older one never replaces it. */
  data: T | undefined;
  error: ProblemError | undefined;
  pending: boolean;
}

/**
 * Asks the server 250 ms after the last change of `input`. One request is in flight: a newer one ends it, so answers that
 * arrive out of order do no harm. `undefined` asks nothing.
 */
export function useAnswer<I, T>(input: I | undefined, ask: (input: I, signal: AbortSignal) => Promise<T>): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>({ data: undefined, error: undefined, pending: input !== undefined });
  const key = input === undefined ? undefined : JSON.stringify(input);
  const latest = useRef({ input, ask });
  latest.current = { input, ask };
  useEffect(() => {
    if (key === undefined) {
      setAnswer({ data: undefined, error: undefined, pending: false });
      return;
    }
    const controller = new AbortController();
    setAnswer((before) => ({ ...before, pending: true }));
    const timer = setTimeout(() => {
      const { input: now, ask: send } = latest.current;
      if (now === undefined) return;
      send(now, controller.signal).then(
        (data) => !controller.signal.aborted && setAnswer({ data, error: undefined, pending: false }),
        (error) =>
          !controller.signal.aborted && setAnswer({ data: undefined, error: asProblem(error), pending: false }),
      );
    }, 250);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key]);
  return answer;
}
