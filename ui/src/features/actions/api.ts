import { useMutation } from "@tanstack/react-query";
import { post } from "../../lib/http/client";
import type { Execution, Schema } from "../../lib/schema";
import { newId } from "../../lib/uuid";

export type Action = Schema<"Action">;
export type Runtime = Schema<"Runtime">;

/** Starts an execution and returns at once; its page shows how it goes on. */
export function useRun() {
  return useMutation({
    mutationFn: async ({ action, parameters }: { action: string; parameters: unknown }) =>
      (await post<Execution>("/api/v1/executions", { action_ref: action, parameters }, { idempotencyKey: newId() }))
        .data,
  });
}
