import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "../../kit/button";
import { Dialog } from "../../kit/dialog";
import { Field } from "../../kit/form";
import { fieldErrors } from "../../kit/problems";
import type { Execution } from "../../lib/schema";
import { newId } from "../../lib/uuid";
import { useRun } from "./api";

/** Runs the same action with changed parameters. */
export function EditAndRun({ execution, onClose }: { execution: Execution; onClose: () => void }) {
  const [text, setText] = useState(() => JSON.stringify(execution.parameters ?? {}, null, 2));
  const [key] = useState(newId);
  const run = useRun();
  const navigate = useNavigate();
  const parsed = parse(text);
  const errors = fieldErrors(run.error, ["parameters"]);
  const error = parsed.error ?? errors.at.parameters ?? errors.rest[0];
  const start = () =>
    run.mutate(
      { action_ref: execution.action_ref, parameters: parsed.value, key },
      { onSuccess: ({ data }) => void navigate({ to: `/executions/${data.id}` }) },
    );
  return (
    <Dialog open onClose={onClose} title={`Run ${execution.action_ref}`}>
      <Field label="Parameters" error={error} hint="JSON. The action's schema is checked by the server.">
        {(props) => (
          <textarea
            {...props}
            className="input mono"
            rows={10}
            spellCheck={false}
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        )}
      </Field>
      <div className="dialog-foot">
        <Button onClick={onClose}>Keep</Button>
        <Button look="primary" disabled={parsed.error !== undefined} pending={run.isPending} onClick={start}>
          Run
        </Button>
      </div>
    </Dialog>
  );
}

function parse(text: string): { value?: unknown; error?: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}
