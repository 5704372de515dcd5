import { useEffect, useRef, useState } from "react";
import { get, pause } from "../../lib/http/client";
import { asProblem, type ProblemError } from "../../lib/http/problem";
import type { Schema } from "../../lib/schema";
import { Lines } from "./model";

type Logs = Schema<"Logs">;

export interface Output {
  /** The lines of each attempt. */
  attempts: ReadonlyMap<number, Lines>;
  complete: boolean;
  error: ProblemError | undefined;
  /** Changes whenever lines were added. */
  version: number;
}

const nothing: Output = { attempts: new Map(), complete: false, error: undefined, version: 0 };

/** The output of an execution, read on while it runs. */
export function useOutput(executionId: string, restart: number): Output {
  const [output, setOutput] = useState<Output>(nothing);
  const attempts = useRef(new Map<number, Lines>());
  // biome-ignore lint/correctness/useExhaustiveDependencies: `restart` begins again.
  useEffect(() => {
    const abort = new AbortController();
    attempts.current = new Map();
    setOutput(nothing);
    const publish = (change: Partial<Output>) => {
      if (abort.signal.aborted) return;
      setOutput((now) => ({ ...now, attempts: attempts.current, version: now.version + 1, ...change }));
    };
    void read(executionId, attempts.current, abort.signal, publish);
    return () => abort.abort();
  }, [executionId, restart]);
  return output;
}

async function read(
  id: string,
  attempts: Map<number, Lines>,
  signal: AbortSignal,
  publish: (change: Partial<Output>) => void,
) {
  let after: string | undefined;
  // The first read does not wait for new output.
  for (let follow = false; !signal.aborted; ) {
    try {
      const page: Logs = await get<Logs>(`/api/v1/executions/${id}/logs`, {
        query: { after, follow: follow || undefined },
        signal,
        background: follow,
      });
      for (const piece of page.logs) {
        let lines = attempts.get(piece.attempt);
        if (!lines) {
          lines = new Lines();
          attempts.set(piece.attempt, lines);
        }
        lines.append([piece]);
      }
      const more = page.next !== after && page.logs.length > 0;
      after = page.next;
      const complete = page.complete && !more;
      publish({ complete, error: undefined });
      if (complete) return;
      if (page.complete && page.logs.length === 0) return;
      follow = !page.complete;
    } catch (error) {
      if (signal.aborted) return;
      const failed = asProblem(error);
      publish({ error: failed });
      if (failed.problem.status >= 400 && failed.problem.status < 500) return;
      await pause(2_000);
    }
  }
}
