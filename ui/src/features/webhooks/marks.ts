import type { Mark } from "../../kit/glyph";
import type { WebhookRequest } from "./model";

const LOOK: Record<WebhookRequest["verdict"], Mark> = {
  accepted: { glyph: "done", tone: "ok", word: "accepted" },
  duplicate: { glyph: "skipped", tone: "quiet", word: "duplicate" },
  rejected: { glyph: "failed", tone: "bad", word: "rejected" },
  redelivered: { glyph: "done", tone: "run", word: "redelivered" },
};

export const requestMark = (request: WebhookRequest): Mark => LOOK[request.verdict];
