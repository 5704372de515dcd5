import type { components } from "../../gen/api";
import { type ConditionForm, conditionOf, formOf, type Json } from "./condition";

type Rule = components["schemas"]["Rule"];

/** What the editor of a rule holds. Parameters are text: JSON where it parses, otherwise a string or template. */
export interface RuleDraft {
  ref: string;
  label: string;
  description: string;
  trigger_ref: string;
  action_ref: string;
  condition: ConditionForm;
  params: Record<string, Json>;
  concurrency: Json;
  rate_limit: Json;
  retry: Json;
  enabled: boolean;
}

export function emptyRule(preset: { trigger?: string | undefined; action?: string | undefined }): RuleDraft {
  return {
    ref: "my.",
    label: "",
    description: "",
    trigger_ref: preset.trigger ?? "",
    action_ref: preset.action ?? "",
    condition: { mode: "always" },
    params: {},
    concurrency: null,
    rate_limit: null,
    retry: null,
    enabled: true,
  };
}

export function draftOfRule(rule: Rule): RuleDraft {
  return {
    ref: rule.ref,
    label: rule.label,
    description: rule.description ?? "",
    trigger_ref: rule.trigger_ref,
    action_ref: rule.action_ref,
    condition: formOf(rule.condition),
    params: (rule.action_params ?? {}) as Record<string, Json>,
    concurrency: (rule.concurrency ?? null) as Json,
    rate_limit: (rule.rate_limit ?? null) as Json,
    retry: (rule.retry ?? null) as Json,
    enabled: rule.enabled,
  };
}

/** The definition that is sent and shown as YAML. Fields with their default are left out. */
export function bodyOf(draft: RuleDraft): Record<string, Json> {
  const out: Record<string, Json> = { ref: draft.ref };
  if (draft.label && draft.label !== draft.ref) out.label = draft.label;
  if (draft.description) out.description = draft.description;
  out.trigger_ref = draft.trigger_ref;
  const condition = conditionOf(draft.condition);
  if (condition != null) out.condition = condition;
  out.action_ref = draft.action_ref;
  if (Object.keys(draft.params).length > 0) out.action_params = draft.params;
  if (draft.rate_limit != null) out.rate_limit = draft.rate_limit;
  if (draft.concurrency != null) out.concurrency = draft.concurrency;
  if (draft.retry != null) out.retry = draft.retry;
  if (!draft.enabled) out.enabled = false;
  return out;
}

/** The draft that a YAML document describes, or what is wrong with it. */
export function draftOfBody(body: unknown): RuleDraft | string {
  if (body == null || typeof body !== "object" || Array.isArray(body))
    return "the document must be a mapping with fields such as `trigger_ref`";
  const known = [
    "ref",
    "label",
    "description",
    "trigger_ref",
    "condition",
    "action_ref",
    "action_params",
    "rate_limit",
    "concurrency",
    "retry",
    "enabled",
  ];
  const fields = body as Record<string, Json>;
  const other = Object.keys(fields).find((name) => !known.includes(name));
  if (other != null) return `the editor does not know the field \`${other}\`; there are ${known.join(", ")}`;
  const text = (name: string) => (typeof fields[name] === "string" ? fields[name] : "");
  const params = fields.action_params ?? {};
  if (typeof params !== "object" || Array.isArray(params)) return "`action_params` must be a mapping";
  return {
    ref: text("ref"),
    label: text("label"),
    description: text("description"),
    trigger_ref: text("trigger_ref"),
    action_ref: text("action_ref"),
    condition: formOf(fields.condition ?? null),
    params: params as Record<string, Json>,
    concurrency: fields.concurrency ?? null,
    rate_limit: fields.rate_limit ?? null,
    retry: fields.retry ?? null,
    enabled: fields.enabled !== false,
  };
}

/** The paths of an event's payload with an example each, for completion. Lists show their first item. */
export function pathsOf(payload: unknown, limit = 60): { path: string; example: Json }[] {
  const found: { path: string; example: Json }[] = [];
  const visit = (value: unknown, path: string, depth: number) => {
    if (found.length >= limit || depth > 6) return;
    if (value != null && typeof value === "object") {
      const entries: [string, unknown][] = Array.isArray(value)
        ? value.slice(0, 1).map((item, i) => [`[${i}]`, item])
        : Object.entries(value).map(([name, item]) => [
            /^[A-Za-z_][\w-]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`,
            item,
          ]);
      if (Array.isArray(value)) found.push({ path, example: `${value.length} items` });
      for (const [step, item] of entries) visit(item, `${path}${step}`, depth + 1);
      return;
    }
    found.push({ path, example: (value ?? null) as Json });
  };
  if (payload != null && typeof payload === "object" && !Array.isArray(payload)) {
    for (const [name, value] of Object.entries(payload))
      visit(value, /^[A-Za-z_][\w-]*$/.test(name) ? `payload.${name}` : `payload[${JSON.stringify(name)}]`, 1);
  }
  return found;
}
