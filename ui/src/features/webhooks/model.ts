import type { components } from "../../gen/api";

export type WebhookRequest = components["schemas"]["WebhookRequest"];
export type WebhookTrigger = components["schemas"]["WebhookTriggerView"];
export type Profile = "none" | "standard-webhooks" | "github" | "stripe" | "slack" | "gitlab" | "generic";

export const PROFILES: { id: Profile; label: string; hint: string; header?: string }[] = [
  { id: "github", label: "GitHub", hint: "Signed in the header X-Hub-Signature-256.", header: "x-hub-signature-256" },
  { id: "gitlab", label: "GitLab", hint: "The secret is in the header X-Gitlab-Token.", header: "x-gitlab-token" },
  {
    id: "stripe",
    label: "Stripe",
    hint: "Signed with a timestamp in the header Stripe-Signature.",
    header: "stripe-signature",
  },
  {
    id: "slack",
    label: "Slack",
    hint: "Signed with a timestamp in the header X-Slack-Signature.",
    header: "x-slack-signature",
  },
  {
    id: "standard-webhooks",
    label: "Standard Webhooks",
    hint: "Signed with a timestamp in the header webhook-signature.",
    header: "webhook-signature",
  },
  {
    id: "generic",
    label: "Other signature (HMAC)",
    hint: "Any sender that signs the body with HMAC in a header of its own.",
  },
  { id: "none", label: "No verification", hint: "Anyone who knows the URL can call this webhook." },
];

export function profileLabel(id: string): string {
  return PROFILES.find((profile) => profile.id === id)?.label ?? id;
}

export interface WebhookDraft {
  ref: string;
  label: string;
  verify: Profile;
  secret: string;
  header: string;
  algorithm: string;
  encoding: string;
  prefix: string;
  dedupKind: "profile" | "header" | "pointer" | "none";
  dedup: string;
  wait_seconds: string;
  openAccepted: boolean;
  rest: Record<string, unknown>;
}

export function emptyWebhook(): WebhookDraft {
  return {
    ref: "my.",
    label: "",
    verify: "github",
    secret: "",
    header: "",
    algorithm: "sha256",
    encoding: "hex",
    prefix: "",
    dedupKind: "profile",
    dedup: "",
    wait_seconds: "",
    openAccepted: false,
    rest: {},
  };
}

export function draftOfWebhook(trigger: WebhookTrigger): WebhookDraft {
  const raw = trigger.config as Record<string, unknown>;
  const draft = { ...emptyWebhook(), ref: trigger.ref, label: trigger.label === trigger.ref ? "" : trigger.label };
  draft.verify = raw.verify as Profile;
  draft.openAccepted = raw.verify === "none";
  for (const name of ["secret", "header", "algorithm", "encoding", "prefix"] as const) {
    if (typeof raw[name] === "string") draft[name] = raw[name];
  }
  if (raw.wait_seconds != null) draft.wait_seconds = String(raw.wait_seconds);
  const dedup = raw.dedup;
  if (dedup === "none") draft.dedupKind = "none";
  else if (dedup != null && typeof dedup === "object") {
    const [kind, value] = Object.entries(dedup)[0] ?? [];
    if (kind === "header" || kind === "pointer") {
      draft.dedupKind = kind;
      draft.dedup = String(value);
    }
  }
  const known = ["verify", "secret", "header", "algorithm", "encoding", "prefix", "wait_seconds", "dedup"];
  draft.rest = Object.fromEntries(
    Object.entries(raw).filter(([name, value]) => !known.includes(name) && value != null),
  );
  return draft;
}

export function webhookConfig(draft: WebhookDraft): Record<string, unknown> {
  const out: Record<string, unknown> = { verify: draft.verify, ...draft.rest };
  if (draft.verify === "none") {
    for (const name of ["secret_previous", "secret_previous_expires_at"]) delete out[name];
  } else out.secret = draft.secret;
  if (draft.verify === "generic") {
    out.header = draft.header;
    if (draft.algorithm !== "sha256") out.algorithm = draft.algorithm;
    if (draft.encoding !== "hex") out.encoding = draft.encoding;
    if (draft.prefix) out.prefix = draft.prefix;
  }
  if (draft.dedupKind === "none") out.dedup = "none";
  else if (draft.dedupKind !== "profile") out.dedup = { [draft.dedupKind]: draft.dedup };
  if (draft.wait_seconds.trim()) out.wait_seconds = Number(draft.wait_seconds) || draft.wait_seconds;
  return out;
}

export interface Step {
  ok: boolean;
  text: string;
}

/** What the server did with a request, from what it stored about it. */
export function stepsOf(request: WebhookRequest): Step[] {
  if (request.verdict === "rejected") {
    return [
      { ok: true, text: `The address belongs to ${request.trigger_ref}.` },
      { ok: false, text: sentence(request.detail ?? request.reason ?? "the request was rejected") },
    ];
  }
  const steps: Step[] = [{ ok: true, text: `The address belongs to ${request.trigger_ref}.` }];
  if (request.verdict === "redelivered") steps.push({ ok: true, text: "A user had a stored request processed again." });
  else if (request.reason === "url_verification")
    steps.push({ ok: true, text: "A handshake of the sender was answered. It creates no event." });
  else steps.push({ ok: true, text: "The request was verified as the trigger requires." });
  if (request.verdict === "duplicate")
    steps.push({ ok: true, text: "It repeats a delivery that was already accepted, so it created no new event." });
  if (request.detail != null) steps.push({ ok: true, text: sentence(request.detail) });
  return steps;
}

export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

export const VERDICTS = ["accepted", "duplicate", "rejected", "redelivered"] as const;

/** Names of headers that carry a signature or a secret. */
export function isSignature(name: string, own?: string): boolean {
  const lower = name.toLowerCase();
  return (
    lower === own?.toLowerCase() ||
    PROFILES.some((p) => p.header === lower) ||
    /signature|token|authorization/.test(lower)
  );
}

export type BodyView =
  | { kind: "none" }
  | { kind: "text"; text: string }
  | { kind: "json"; value: unknown; text: string }
  | { kind: "bytes"; base64: string };

export function bodyOfRequest(request: WebhookRequest): BodyView {
  if (request.body_base64 != null) return { kind: "bytes", base64: request.body_base64 };
  if (request.body == null || request.body === "") return { kind: "none" };
  try {
    return { kind: "json", value: JSON.parse(request.body) as unknown, text: request.body };
  } catch {
    return { kind: "text", text: request.body };
  }
}

/** The first bytes as hex and text, 16 in a row. */
export function hexOf(bytes: Uint8Array, limit = 4096): string {
  const rows: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, limit); at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row
      .map((b) => b.toString(16).padStart(2, "0"))
      .join(" ")
      .padEnd(47);
    const text = row.map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : ".")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${hex}  ${text}`);
  }
  return rows.join("\n");
}

const SKIPPED = new Set(["host", "content-length", "accept", "user-agent", "connection", "accept-encoding"]);

/** The request as a curl command. The address is a placeholder: it is a secret. */
export function curlOf(request: WebhookRequest): string {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = [
    "curl",
    "-sS",
    "-X",
    request.method,
    `"$WEBHOOK_URL${request.query ? `?${request.query.replace(/["$`\\]/g, "\\$&")}` : ""}"`,
  ];
  for (const [name, value] of Object.entries((request.headers ?? {}) as Record<string, unknown>)) {
    if (SKIPPED.has(name.toLowerCase())) continue;
    for (const one of Array.isArray(value) ? value : [value]) parts.push("-H", quote(`${name}: ${String(one)}`));
  }
  if (request.body) parts.push("--data-binary", quote(request.body));
  return parts.join(" ");
}
