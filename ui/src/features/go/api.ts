import { get, list } from "../../lib/http/client";
import { asProblem } from "../../lib/http/problem";
import type { Event, Execution } from "../../lib/schema";

export interface Found {
  noun: string;
  ref: string;
  label: string;
  to: string;
}

const nounPages: Record<string, string> = { trigger: "/triggers", rule: "/rules", action: "/actions", pack: "/packs" };

interface Named {
  ref: string;
  label: string;
  kind?: string;
}

/** The page of a trigger depends on its kind. */
export const triggerPage = (kind: string | undefined, ref: string): string =>
  `/${kind === "timer" ? "timers" : kind === "webhook" ? "webhooks" : "triggers"}/${ref}`;

/** Refs and labels that contain the text. */
export async function search(text: string, signal: AbortSignal): Promise<Found[]> {
  const nouns = ["trigger", "rule", "action", "pack"] as const;
  const needle = text.toLowerCase();
  const pages = await Promise.all(
    nouns.map(async (noun) => {
      const { data } = await list<Named>(`/api/v1/${noun}s`, { query: { limit: 200 }, signal });
      return data
        .filter(({ ref, label }) => ref.includes(needle) || label.toLowerCase().includes(needle))
        .map(({ ref, label, kind }) => ({
          noun: kind ?? noun,
          ref,
          label,
          to: noun === "trigger" ? triggerPage(kind, ref) : `${nounPages[noun]}/${ref}`,
        }));
    }),
  );
  return pages
    .flat()
    .sort((a, b) => Number(b.ref.startsWith(needle)) - Number(a.ref.startsWith(needle)) || a.ref.length - b.ref.length)
    .slice(0, 20);
}

export interface Resolved {
  trace: string;
  node: string;
}

/** Which trace an id belongs to: the id of an event, an enforcement, an execution or a webhook request. */
export async function resolve(id: string): Promise<Resolved | undefined> {
  const attempts: (() => Promise<Resolved | undefined>)[] = [
    async () => ({ trace: (await get<Execution>(`/api/v1/executions/${id}`)).trace_id, node: id }),
    async () => ({ trace: (await get<Event>(`/api/v1/events/${id}`)).trace_id, node: id }),
    async () => ({ trace: (await get<{ event_id: string }>(`/api/v1/enforcements/${id}`)).event_id, node: id }),
    async () => {
      const { event_id } = await get<{ event_id: string | null }>(`/api/v1/webhook-requests/${id}`);
      return event_id ? { trace: event_id, node: event_id } : undefined;
    },
  ];
  for (const attempt of attempts) {
    try {
      const found = await attempt();
      if (found) return found;
    } catch (error) {
      const { status } = asProblem(error).problem;
      if (status !== 404 && status !== 403 && status !== 422) throw error;
    }
  }
  return undefined;
}
