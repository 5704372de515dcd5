/** One message of the stream: what changed. It names rows, it does not carry them. */
export interface Frame {
  kind: string;
  at?: string;
  event_id?: string;
  enforcement_id?: string;
  execution_id?: string;
  trigger_ref?: string;
  rule_ref?: string;
  action_ref?: string;
  [name: string]: unknown;
}

/** Names that a subscriber wants: `execution` is every status of an execution. */
export const concerns = (frame: Frame, kinds: readonly string[]): boolean =>
  kinds.some((kind) => frame.kind === kind || frame.kind.startsWith(`${kind}.`));
