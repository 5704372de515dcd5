import { useMutation } from "@tanstack/react-query";
import { post } from "../../lib/http/client";
import type { Event, Schema } from "../../lib/schema";
import { newId } from "../../lib/uuid";

export type Trigger = Schema<"TriggerView">;

/** Creates an event of the trigger by hand. */
export function useFire() {
  return useMutation({
    mutationFn: async ({ ref, payload }: { ref: string; payload?: unknown }) =>
      (
        await post<Event>(`/api/v1/triggers/${ref}/fire`, payload === undefined ? {} : { payload }, {
          idempotencyKey: newId(),
        })
      ).data,
  });
}
