import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "../../kit/button";
import { Dialog } from "../../kit/dialog";
import { fieldErrors } from "../../kit/problems";
import { post } from "../../lib/http/client";
import { useRefresh } from "../definitions/api";
import { Form, FormErrors, TextField } from "../definitions/form";
import { JsonField } from "../definitions/JsonField";
import type { Trigger } from "./api";

/** Creates a custom trigger. */
export function NewTriggerDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const [ref, setRef] = useState("my.");
  const [label, setLabel] = useState("");
  const [schema, setSchema] = useState<unknown>(undefined);
  const refresh = useRefresh();
  const navigate = useNavigate();
  const create = useMutation({
    mutationFn: () =>
      post<Trigger>("/api/v1/triggers", { kind: "custom", ref, label: label || null, payload_schema: schema ?? null }),
    onSuccess: ({ data }) => {
      refresh("triggers");
      onClose();
      void navigate({ to: `/triggers/${data.ref}` });
    },
  });
  const { at, rest } = fieldErrors(create.error, ["ref", "label", "payload_schema"]);
  return (
    <Dialog open={open} onClose={onClose} title="New custom trigger">
      <Form onSave={() => create.mutate()} error={create.error}>
        <FormErrors errors={rest} />
        <TextField
          label="Ref"
          mono
          value={ref}
          onChange={setRef}
          error={at.ref}
          hint="pack.name, such as acme.order. The pack must exist."
        />
        <TextField label="Label" value={label} onChange={setLabel} error={at.label} />
        <JsonField
          label="Schema of the payload"
          value={undefined}
          onChange={setSchema}
          error={at.payload_schema}
          hint="JSON Schema, optional. It documents what to expect; nothing is rejected because of it."
        />
        <div className="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" pending={create.isPending}>
            Create trigger
          </Button>
        </div>
      </Form>
    </Dialog>
  );
}
