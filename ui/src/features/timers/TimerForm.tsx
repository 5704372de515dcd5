import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "../../kit/button";
import { Choice, Field } from "../../kit/form";
import { KeyHint } from "../../kit/keyhint";
import { fieldErrors } from "../../kit/problems";
import { Banner } from "../../kit/states";
import { toast } from "../../kit/toast";
import { post, put } from "../../lib/http/client";
import type { Schema } from "../../lib/schema";
import { useMay } from "../../lib/session";
import { useRefresh } from "../definitions/api";
import { Form, FormErrors, InstantField, TextField } from "../definitions/form";
import { useDraft } from "../definitions/useDraft";
import { ClockChanges, Late, Schedule } from "./fields";
import { configOf, FIELDS, type TimerDraft, type TimerKind } from "./model";
import { Preview, usePreview } from "./Preview";

type TimerTrigger = Schema<"TimerTriggerView">;

export interface Fields {
  draft: TimerDraft;
  set: (change: Partial<TimerDraft>) => void;
  /** The server's message for a field. */
  at: Record<string, string>;
}

const KINDS: readonly { value: TimerKind; label: string }[] = [
  { value: "interval", label: "Interval" },
  { value: "cron", label: "Cron" },
  { value: "one_shot", label: "Once" },
];

export function TimerForm({
  initial,
  stored,
  etag,
}: {
  initial: TimerDraft;
  stored?: TimerTrigger;
  etag?: string | undefined;
}) {
  const form = useDraft(`timer.${stored?.ref ?? "new"}`, initial);
  const { value: draft } = form;
  const set = (change: Partial<TimerDraft>) => form.set((now) => ({ ...now, ...change }));
  const config = configOf(draft);
  const save = useSave(draft, stored, etag, form.clear);
  // The preview checks the configuration while the user types; saving checks everything.
  const checked = usePreview(config);
  const { at, rest } = fieldErrors(save.error ?? checked.soon.error, FIELDS);
  const onChange = (change: Partial<TimerDraft>) => {
    if (save.error) save.reset();
    set(change);
  };
  const fields: Fields = { draft, set: onChange, at };
  const { why } = useMay("editor");
  return (
    <Form onSave={() => save.mutate()} error={save.error} className="editor">
      <div className="col loose">
        <FormErrors errors={save.error ? rest : rest.filter((text) => text.startsWith("config."))} />
        {form.restored && form.changed && (
          <Banner
            tone="quiet"
            glyph="dot"
            action={
              <Button small onClick={() => form.set(initial)}>
                Discard draft
              </Button>
            }
          >
            Your unsaved draft was restored.
          </Banner>
        )}
        <section className="card pad col loose">
          {stored == null && (
            <TextField
              label="Ref"
              mono
              value={draft.ref}
              onChange={(ref) => onChange({ ref })}
              error={at.ref}
              hint="pack.name, such as acme.nightly. The pack must exist."
            />
          )}
          <TextField label="Label" value={draft.label} onChange={(label) => onChange({ label })} error={at.label} />
          <Field label="Kind">
            {() => <Choice label="Kind" value={draft.kind} options={KINDS} onChange={(kind) => onChange({ kind })} />}
          </Field>
          <Schedule {...fields} />
        </section>
        {draft.kind === "cron" && <ClockChanges {...fields} />}
        <Late {...fields} />
        <More {...fields} />
        <div className="row wrap">
          <Button look="primary" type="submit" pending={save.isPending} why={why}>
            {stored == null ? "Create timer" : "Save"} <KeyHint keys="mod+Enter" />
          </Button>
          {stored != null && <span className="meta">Occurrences due before you save follow the old schedule.</span>}
        </div>
      </div>
      <div className="aside">
        <Preview config={config} />
      </div>
    </Form>
  );
}

function useSave(draft: TimerDraft, stored: TimerTrigger | undefined, etag: string | undefined, clear: () => void) {
  const refresh = useRefresh();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: () => {
      const body = {
        kind: "timer",
        label: draft.label || null,
        description: draft.description || null,
        config: configOf(draft),
      };
      return stored == null
        ? post<TimerTrigger>("/api/v1/triggers", { ...body, ref: draft.ref })
        : put<TimerTrigger>(
            `/api/v1/triggers/${stored.ref}`,
            { ...body, enabled: stored.enabled, payload_schema: stored.payload_schema },
            { ifMatch: etag },
          );
    },
    onSuccess: ({ data, warnings }) => {
      clear();
      refresh("triggers");
      toast(stored == null ? `${data.ref} was created.` : `${data.ref} was saved.`, { tone: "ok" });
      for (const warning of warnings ?? []) toast(warning);
      void navigate({ to: `/timers/${data.ref}` });
    },
  });
}

function More({ draft, set, at }: Fields) {
  const used = draft.start_at !== "" || draft.end_at !== "" || draft.spread_seconds !== "";
  const wrong = at["config.start_at"] ?? at["config.end_at"] ?? at["config.spread_seconds"];
  const [open, setOpen] = useState(used);
  return (
    <details className="card more" open={open || wrong != null} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>First and last occurrence, spread</summary>
      <div className="col loose">
        <InstantField
          label="Not before"
          value={draft.start_at}
          onChange={(start_at) => set({ start_at })}
          error={at["config.start_at"]}
        />
        <InstantField
          label="Not after"
          value={draft.end_at}
          onChange={(end_at) => set({ end_at })}
          error={at["config.end_at"]}
        />
        <TextField
          label="Spread in seconds"
          value={draft.spread_seconds}
          onChange={(spread_seconds) => set({ spread_seconds })}
          error={at["config.spread_seconds"]}
          hint="A constant delay per timer, up to this value, so that many timers do not fire at the same moment."
          width="120px"
        />
      </div>
    </details>
  );
}
