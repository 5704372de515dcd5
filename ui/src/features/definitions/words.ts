import type { CopyForm } from "../../kit/copy";
import { pageLink } from "../../kit/copy";
import { urlOf } from "../../lib/http/client";

const NOT_WRITTEN = new Set([
  "id",
  "created_at",
  "updated_at",
  "managed",
  "owner_rule_ref",
  "next_fire_at",
  "last_fired_at",
  "last_error",
  "webhook_url",
  "hash",
  "has_code",
  "source",
]);

/** A definition without what the server adds and without empty fields: what a file of a pack has. */
export function written(definition: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(definition).filter(
      ([name, value]) => !NOT_WRITTEN.has(name) && value !== null && name !== "pack_ref",
    ),
  );
}

/** The forms in which a definition can be copied. */
export function copyForms(noun: string, definition: { ref: string }): CopyForm[] {
  const path = `/api/v1/${noun}/${definition.ref}`;
  return [
    { label: "Link", text: pageLink },
    { label: "Ref", text: definition.ref },
    { label: "curl", text: () => `curl -sS -H "Authorization: Bearer $ATTUNE_API_TOKEN" '${urlOf(path)}'` },
    { label: "JSON", text: () => JSON.stringify(written(definition), null, 2) },
  ];
}
