import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { Button } from "../../kit/button";
import { Dialog } from "../../kit/dialog";
import { Field } from "../../kit/form";
import { fieldErrors } from "../../kit/problems";
import { list } from "../../lib/http/client";
import type { Event } from "../../lib/schema";
import { newId } from "../../lib/uuid";
import { sendEvent } from "./api";

interface Named {
  ref: string;
  kind: string;
}

/** Sends an event by hand; the payload begins as that of the trigger's last event. */
export function SendEvent({ trigger, onClose }: { trigger: string | undefined; onClose: () => void }) {
  const [ref, setRef] = useState(trigger ?? "");
  const [text, setText] = useState("{}");
  const [touched, setTouched] = useState(false);
  const [key] = useState(newId);
  const navigate = useNavigate();
  const triggers = useQuery({
    queryKey: ["triggers", "list", { kind: "custom" }],
    queryFn: ({ signal }) =>
      list<Named>("/api/v1/triggers", { query: { kind: "custom", limit: 200 }, signal }).then((page) => page.data),
  });
  const last = useQuery({
    queryKey: ["events", "last", ref],
    queryFn: ({ signal }) =>
      list<Event>("/api/v1/events", { query: { trigger_ref: ref, limit: 1 }, signal }).then(
        (page) => page.data[0] ?? null,
      ),
    enabled: triggers.data?.some((each) => each.ref === ref) ?? false,
  });
  useEffect(() => {
    if (!touched && last.data) setText(JSON.stringify(last.data.payload, null, 2));
  }, [last.data, touched]);
  const send = useMutation({
    mutationFn: (payload: unknown) => sendEvent(ref, payload, key),
    onSuccess: ({ data }) => void navigate({ to: `/t/${data.trace_id}` }),
  });
  const errors = fieldErrors(send.error, ["trigger_ref", "payload"]);
  const parsed = parse(text);
  return (
    <Dialog open onClose={onClose} title="Send an event">
      <Field
        label="Trigger"
        error={errors.at.trigger_ref}
        hint="A custom trigger. Timers and webhooks are fired on their own pages."
      >
        {(props) => (
          <select {...props} className="input mono" value={ref} onChange={(event) => setRef(event.target.value)}>
            <option value="" disabled>
              {triggers.data?.length === 0 ? "there is no custom trigger" : "choose one"}
            </option>
            {triggers.data?.map((each) => (
              <option key={each.ref}>{each.ref}</option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Payload" error={parsed.error ?? errors.at.payload ?? errors.rest[0]} hint="JSON">
        {(props) => (
          <textarea
            {...props}
            className="input mono"
            rows={10}
            spellCheck={false}
            value={text}
            onChange={(event) => {
              setTouched(true);
              setText(event.target.value);
            }}
          />
        )}
      </Field>
      <div className="dialog-foot">
        <Button onClick={onClose}>Close</Button>
        <Button
          look="primary"
          disabled={!ref || parsed.error !== undefined}
          pending={send.isPending}
          onClick={() => send.mutate(parsed.value)}
        >
          Send
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
