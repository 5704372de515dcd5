import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { parse, stringify } from "yaml";
import { Button } from "../../kit/button";
import { Choice } from "../../kit/form";
import { KeyHint } from "../../kit/keyhint";
import { fieldErrors } from "../../kit/problems";
import { Banner } from "../../kit/states";
import { toast } from "../../kit/toast";
import { post, put } from "../../lib/http/client";
import { asProblem } from "../../lib/http/problem";
import { useMay } from "../../lib/session";
import { useRefresh } from "../definitions/api";
import { Form, FormErrors, TextField } from "../definitions/form";
import { useDraft } from "../definitions/useDraft";
import type { Rule } from "./api";
import { recentEvents } from "./api";
import { guarded, undecidedIn } from "./condition";
import { bodyOf, draftOfBody, pathsOf, type RuleDraft } from "./draft";
import { Limits, RunPart, WhenPart } from "./RuleParts";
import { TestPanel } from "./TestPanel";
import { useTest } from "./useTest";

const VIEWS = [
  { value: "form", label: "Form" },
  { value: "yaml", label: "YAML" },
] as const;

const FIELDS = [
  "ref",
  "label",
  "description",
  "trigger_ref",
  "action_ref",
  "action_params",
  "condition",
  "concurrency",
  "rate_limit",
  "retry",
];

export interface Parts {
  draft: RuleDraft;
  set: (change: Partial<RuleDraft>) => void;
  at: Record<string, string>;
  errors: readonly { path: string; message: string }[];
}

export function RuleForm({ initial, stored, etag }: { initial: RuleDraft; stored?: Rule; etag?: string | undefined }) {
  const form = useDraft(`rule.${stored?.ref ?? "new"}`, initial);
  const { value: draft } = form;
  const [view, setView] = useState<"form" | "yaml">("form");
  const [text, setText] = useState("");
  const save = useSave(draft, stored, etag, form.clear);
  const test = useTest(draft);
  const set = (change: Partial<RuleDraft>) => {
    if (save.error) save.reset();
    form.set((now) => ({ ...now, ...change }));
  };
  const yamlError = useMemo(() => (view === "yaml" ? wrongIn(text) : undefined), [view, text]);
  const onYaml = (next: string) => {
    setText(next);
    const read = readYaml(next);
    if (typeof read !== "string") form.set({ ...read, ref: stored?.ref ?? read.ref });
  };
  const toView = (next: "form" | "yaml") => {
    if (next === "yaml") setText(stringify(bodyOf(draft), { lineWidth: 100 }));
    setView(next);
  };
  const failed = save.error ?? test.answer.error;
  const { at, rest } = fieldErrors(failed, FIELDS);
  const errors = failed ? asProblem(failed).problem.errors : [];
  const events = useQuery(recentEvents(draft.trigger_ref));
  const paths = useMemo(() => pathsOf(events.data?.data[0]?.payload), [events.data]);
  const root = draft.condition.mode === "tree" ? draft.condition.root : undefined;
  const run = test.answer.data;
  const undecided = root && run?.decision === "fail" ? undecidedIn(root, run.reason) : [];
  const failedAt = run?.decision === "skip" && run.why.why === "condition" ? run.why.clause.at : undefined;
  const parts: Parts = { draft, set, at, errors };
  const { why } = useMay("editor");
  return (
    <Form onSave={() => yamlError === undefined && save.mutate()} error={save.error} className="editor">
      <div className="col loose">
        <span className="row wrap">
          <Choice label="View" value={view} options={VIEWS} onChange={toView} />
          {form.changed && <span className="tone-late">unsaved changes</span>}
        </span>
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
        {save.error && (
          <FormErrors errors={view === "yaml" ? errors.map((error) => `${error.path} ${error.message}`) : rest} />
        )}
        {view === "yaml" ? (
          <TextField
            label="Definition"
            multiline
            mono
            value={text}
            onChange={onYaml}
            error={yamlError}
            hint="Saved as it is shown here. The form shows what it can."
            rows={22}
          />
        ) : (
          <>
            <WhenPart {...parts} isNew={stored === undefined} failedAt={failedAt} undecided={undecided} />
            <RunPart {...parts} resolved={run && "parameters" in run ? run.parameters : undefined} />
            <Limits {...parts} />
          </>
        )}
        <span className="row wrap">
          <Button
            look="primary"
            type="submit"
            pending={save.isPending}
            why={why ?? (yamlError === undefined ? undefined : "The YAML has an error.")}
          >
            {stored === undefined ? "Create rule" : "Save"} <KeyHint keys="mod+Enter" />
          </Button>
        </span>
        <datalist id="paths">
          {paths.map(({ path, example }) => (
            <option key={path} value={path}>
              {JSON.stringify(example)}
            </option>
          ))}
        </datalist>
      </div>
      <div className="aside">
        <TestPanel
          trigger={draft.trigger_ref}
          sample={test.sample}
          onSample={test.setSample}
          answer={test.answer}
          sampleError={test.sampleError}
          onGuard={
            root && undecided.length > 0
              ? () => set({ condition: { mode: "tree", root: guarded(root, undecided) } })
              : undefined
          }
        />
      </div>
    </Form>
  );
}

function readYaml(text: string): RuleDraft | string {
  try {
    return draftOfBody(parse(text));
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n")[0] ?? error.message) : String(error);
  }
}

function wrongIn(text: string): string | undefined {
  const read = readYaml(text);
  return typeof read === "string" ? read : undefined;
}

function useSave(draft: RuleDraft, stored: Rule | undefined, etag: string | undefined, clear: () => void) {
  const refresh = useRefresh();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: () => {
      const body = bodyOf(draft);
      return stored === undefined
        ? post<Rule>("/api/v1/rules", body)
        : put<Rule>(`/api/v1/rules/${stored.ref}`, { enabled: draft.enabled, ...body }, { ifMatch: etag });
    },
    onSuccess: ({ data, warnings }) => {
      clear();
      refresh("rules");
      toast(stored === undefined ? `${data.ref} was created.` : `${data.ref} was saved.`, { tone: "ok" });
      for (const warning of warnings ?? []) toast(warning);
      void navigate({ to: `/rules/${data.ref}` });
    },
  });
}
