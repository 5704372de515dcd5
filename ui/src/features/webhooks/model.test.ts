import { describe, expect, it } from "vitest";
import {
  bodyOfRequest,
  curlOf,
  draftOfWebhook,
  emptyWebhook,
  hexOf,
  isSignature,
  stepsOf,
  type WebhookRequest,
  webhookConfig,
} from "./model";

const request = (over: Partial<WebhookRequest>): WebhookRequest => ({
  id: "1",
  trigger_ref: "acme.orders",
  received_at: "2026-11-30T14:32:58Z",
  address: "127.0.0.1",
  method: "POST",
  query: "",
  headers: { host: "h", "content-type": "application/json" },
  body: '{"a":1}',
  body_base64: null,
  body_bytes: 7,
  body_cut: false,
  verdict: "accepted",
  reason: null,
  detail: null,
  event_id: "e",
  redelivery_of: null,
  ...over,
});

const trigger = (config: unknown) => ({ ref: "a.b", label: "a.b", config, kind: "webhook" }) as never;

describe("settings of a webhook", () => {
  it.each([
    { verify: "none" },
    { verify: "github", secret: "********" },
    {
      verify: "generic",
      secret: "********",
      header: "x-sig",
      algorithm: "sha512",
      prefix: "v1=",
      dedup: { pointer: "/id" },
    },
    { verify: "stripe", secret: "********", dedup: "none", wait_seconds: 5, methods: ["PUT"], requests_per_second: 3 },
  ])("round-trip %j", (config) => {
    expect(webhookConfig(draftOfWebhook(trigger(config)))).toEqual(config);
  });
  it("drops a secret when the verification is switched off", () => {
    expect(webhookConfig({ ...emptyWebhook(), verify: "none", secret: "x" })).toEqual({ verify: "none" });
  });
});

describe("inbox", () => {
  it("explains what happened to a request", () => {
    expect(
      stepsOf(request({ verdict: "rejected", detail: "the header x-sig is missing", event_id: null })).at(-1),
    ).toEqual({ ok: false, text: "The header x-sig is missing." });
    expect(
      stepsOf(request({ verdict: "duplicate" }))
        .map((s) => s.text)
        .join(" "),
    ).toContain("repeats a delivery");
  });
  it("shows bodies", () => {
    expect(bodyOfRequest(request({}))).toMatchObject({ kind: "json", value: { a: 1 } });
    expect(bodyOfRequest(request({ body: "a=1" }))).toEqual({ kind: "text", text: "a=1" });
    expect(bodyOfRequest(request({ body: null, body_base64: "AA==" }))).toEqual({ kind: "bytes", base64: "AA==" });
    expect(hexOf(new TextEncoder().encode("Hi\n"))).toBe(`000000  48 69 0a${" ".repeat(39)}  Hi.`);
  });
  it("copies as curl, without the address", () => {
    expect(curlOf(request({ body: "it's" }))).toBe(
      `curl -sS -X POST "$WEBHOOK_URL" -H 'content-type: application/json' --data-binary 'it'\\''s'`,
    );
  });
  it("marks signature headers", () => {
    expect(isSignature("X-Hub-Signature-256")).toBe(true);
    expect(isSignature("x-mine", "X-Mine")).toBe(true);
    expect(isSignature("content-type")).toBe(false);
  });
});
