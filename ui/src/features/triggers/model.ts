import type { Schema } from "../../lib/schema";

type Trigger = Schema<"TriggerView">;

export const KIND_WORDS: Record<Trigger["kind"], { label: string; page: string }> = {
  timer: { label: "timer", page: "/timers" },
  webhook: { label: "webhook", page: "/webhooks" },
  file_watch: { label: "file watch", page: "/triggers" },
  custom: { label: "custom", page: "/triggers" },
  system: { label: "from Attune", page: "/triggers" },
};

/** The page of a trigger depends on its kind. */
export const pageOf = (trigger: Pick<Trigger, "kind" | "ref">): string =>
  `${KIND_WORDS[trigger.kind]?.page ?? "/triggers"}/${trigger.ref}`;
