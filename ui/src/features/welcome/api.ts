import { list, patch, post } from "../../lib/http/client";
import { asProblem } from "../../lib/http/problem";
import type { Execution, Schema } from "../../lib/schema";
import { newId } from "../../lib/uuid";
import { type Choices, freeRef, nameOf, timerConfig } from "./model";

export const preview = async (config: unknown, signal: AbortSignal) =>
  (await post<Schema<"Occurrences">>("/api/v1/timers/preview", { config, limit: 5 }, { signal })).data.occurrences;

/** What this page has created so far. */
export interface Made {
  ref: string;
  command: string;
}

async function ensurePack() {
  try {
    await post("/api/v1/packs", { ref: "my", label: "Mine", description: "What was made in the web UI." });
  } catch (error) {
    if (asProblem(error).kind !== "exists") throw error;
  }
}

async function takenRefs(): Promise<Set<string>> {
  const nouns = ["actions", "rules", "triggers"];
  const pages = await Promise.all(
    nouns.map((noun) => list<{ ref: string }>(`/api/v1/${noun}`, { query: { pack_ref: "my", limit: 200 } })),
  );
  return new Set(pages.flatMap((page) => page.data.map(({ ref }) => ref)));
}

/** The action of the command: created once, then changed. */
export async function ensureAction(command: string, made: Made | undefined): Promise<Made> {
  if (made?.command === command) return made;
  if (made) {
    await patch(`/api/v1/actions/${made.ref}`, { entry_point: command });
    return { ref: made.ref, command };
  }
  await ensurePack();
  const ref = freeRef(nameOf(command), await takenRefs());
  await post("/api/v1/actions", {
    ref,
    pack_ref: "my",
    label: command.slice(0, 80),
    runtime_ref: "core.shell",
    entry_kind: "text",
    entry_point: command,
  });
  return { ref, command };
}

export const run = async (ref: string): Promise<Execution> =>
  (await post<Execution>("/api/v1/executions", { action_ref: ref, parameters: {} }, { idempotencyKey: newId() })).data;

export interface Enabled {
  triggerRef: string;
  ruleRef: string;
  webhookUrl: string | undefined;
}

/** The rule that starts the action from now on. */
export async function enable(choices: Choices, ref: string): Promise<Enabled> {
  const timer = timerConfig(choices);
  if (timer) {
    const rule = (await post<Schema<"Rule">>("/api/v1/rules", { ref, pack_ref: "my", action_ref: ref, trigger: timer }))
      .data;
    return { triggerRef: rule.trigger_ref, ruleRef: ref, webhookUrl: undefined };
  }
  const hook = (
    await post<{ ref: string; webhook_url?: string | null }>("/api/v1/triggers", {
      ref: `${ref}_hook`,
      pack_ref: "my",
      kind: "webhook",
      label: `Starts ${ref}`,
      config: { verify: "none" },
    })
  ).data;
  await post("/api/v1/rules", { ref, pack_ref: "my", action_ref: ref, trigger_ref: hook.ref });
  return { triggerRef: hook.ref, ruleRef: ref, webhookUrl: hook.webhook_url ?? undefined };
}

/** Calls the webhook from this page. */
export const callWebhook = (url: string) => post(new URL(url).pathname, { hello: "world" });

export const latestEvent = async (triggerRef: string, signal: AbortSignal): Promise<string | undefined> =>
  (await list<{ id: string }>("/api/v1/events", { query: { trigger_ref: triggerRef, limit: 1 }, signal })).data[0]?.id;
