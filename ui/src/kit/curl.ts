import { urlOf } from "../lib/http/client";

/** The same request for a shell. `$ATTUNE_TOKEN` stands for an API token. */
export function curl(method: string, path: string, body?: unknown): string {
  const parts = ['curl -H "Authorization: Bearer $ATTUNE_TOKEN"'];
  if (method !== "GET") parts.push(`-X ${method}`);
  if (body !== undefined)
    parts.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`);
  parts.push(`'${urlOf(path)}'`);
  return parts.join(" ");
}
