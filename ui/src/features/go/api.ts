import { get, list } from "../../lib/http/client";
import { asProblem } from "../../lib/http/problem";

export interface Found {
  noun: string;
  ref: string;
  label: string;
  to: string;
}

interface Hit {
  noun: string;
  ref: string;
  label: string;
  kind: string | null;
}

/** The page of a trigger depends on its kind. */
export const triggerPage = (kind: string | null | undefined, ref: string): string =>
  `/${kind === "timer" ? "timers" : kind === "webhook" ? "webhooks" : "triggers"}/${ref}`;

/** Definitions whose ref or label contains the text. */
export async function search(text: string, signal: AbortSignal): Promise<Found[]> {
  const { data } = await list<Hit>("/api/v1/search", { query: { q: text, limit: 20 }, signal, background: true });
  return data.map(({ noun, ref, label, kind }) => ({
    noun: kind ?? noun,
    ref,
    label,
    to: noun === "trigger" ? triggerPage(kind, ref) : `/${noun}s/${ref}`,
  }));
}

export interface Resolved {
  noun: string;
  id: string;
  trace_id: string | null;
  /** The path of its page. */
  path: string;
}

/** Which trace an id belongs to: the id of an event, an enforcement, an execution or a webhook request. */
export async function resolve(id: string): Promise<Resolved | undefined> {
  try {
    return await get<Resolved>(`/api/v1/resolve/${id}`);
  } catch (error) {
    if (asProblem(error).problem.status === 404) return undefined;
    throw error;
  }
}
