import type { components } from "../gen/api";

/** A type of the API's document, by its name there. */
export type Schema<Name extends keyof components["schemas"]> = components["schemas"][Name];

export type Execution = Schema<"ExecutionView">;
export type ExecutionSummary = Schema<"ExecutionSummary">;
export type ChainExecution = Schema<"ChainExecution">;
export type ExecutionStatus = Schema<"ExecutionStatus">;
export type Event = Schema<"Event">;
export type Enforcement = Schema<"Enforcement">;
export type Attempt = Schema<"Attempt">;
export type Explanation = Schema<"Explanation">;
export type Explained = Schema<"Explained">;
export type Chain = Schema<"Chain">;
export type Identity = Schema<"Identity">;
export type Role = Schema<"Role">;
