import type { Mark } from "../../kit/glyph";
import type { Enforcement, Event } from "../../lib/schema";

const marks: Record<Event["status"], Mark> = {
  pending: { glyph: "open", tone: "wait", word: "pending" },
  decided: { glyph: "done", tone: "quiet", word: "evaluated" },
  quarantined: { glyph: "attention", tone: "late", word: "quarantined" },
};

export const eventMark = (status: Event["status"]): Mark => marks[status];

export const sourceWords: Record<Event["source"], string> = {
  timer: "timer",
  webhook: "webhook",
  file_watch: "file",
  api: "API",
  manual: "by hand",
  system: "Attune",
};

export interface Outcome {
  matched: number;
  failed: number;
  limited: number;
}

/** How many rules did what, by event. */
export function outcomes(enforcements: readonly Enforcement[]): Map<string, Outcome> {
  const found = new Map<string, Outcome>();
  for (const { event_id, status } of enforcements) {
    const outcome = found.get(event_id) ?? { matched: 0, failed: 0, limited: 0 };
    if (status === "created") outcome.matched++;
    else if (status === "failed") outcome.failed++;
    else outcome.limited++;
    found.set(event_id, outcome);
  }
  return found;
}
