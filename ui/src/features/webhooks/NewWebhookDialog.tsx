import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "../../kit/button";
import { Dialog } from "../../kit/dialog";
import { fieldErrors } from "../../kit/problems";
import { post } from "../../lib/http/client";
import { useRefresh } from "../definitions/api";
import { Form, FormErrors, TextField } from "../definitions/form";
import { emptyWebhook, type WebhookDraft, type WebhookTrigger, webhookConfig } from "./model";
import { FIELDS, WebhookFields } from "./WebhookFields";

export function NewWebhookDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const [draft, setDraft] = useState<WebhookDraft>(emptyWebhook);
  const set = (change: Partial<WebhookDraft>) => setDraft((now) => ({ ...now, ...change }));
  const refresh = useRefresh();
  const navigate = useNavigate();
  const create = useMutation({
    mutationFn: () =>
      post<WebhookTrigger>("/api/v1/triggers", {
        kind: "webhook",
        ref: draft.ref,
        label: draft.label || null,
        config: webhookConfig(draft),
      }),
    onSuccess: ({ data }) => {
      refresh("triggers");
      onClose();
      void navigate({ to: `/webhooks/${data.ref}` });
    },
  });
  const { at, rest } = fieldErrors(create.error, FIELDS);
  const open_ =
    draft.verify === "none" && !draft.openAccepted ? "Confirm that anyone who knows the URL can call it." : undefined;
  return (
    <Dialog open={open} onClose={onClose} title="New webhook">
      <Form onSave={() => open_ === undefined && create.mutate()} error={create.error}>
        <FormErrors errors={rest} />
        <TextField
          label="Ref"
          mono
          value={draft.ref}
          onChange={(ref) => set({ ref })}
          error={at.ref}
          hint="pack.name, such as acme.github. The pack must exist."
        />
        <TextField label="Label" value={draft.label} onChange={(label) => set({ label })} error={at.label} />
        <WebhookFields draft={draft} set={set} at={at} />
        <div className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" pending={create.isPending} why={open_}>
            Create webhook
          </Button>
        </div>
      </Form>
    </Dialog>
  );
}
