import { useQuery } from "@tanstack/react-query";
import type { Action } from "../actions/api";
import { formOfSchema } from "../actions/model";
import { listOf, oneOf } from "../definitions/api";
import { TextField } from "../definitions/form";
import { JsonField } from "../definitions/JsonField";
import { RefField } from "../definitions/RefField";
import type { Trigger } from "../triggers/api";
import { ConditionEditor } from "./ConditionEditor";
import { type Json, jsonFrom, textOf } from "./condition";
import type { Parts } from "./RuleForm";

interface WhenProps extends Parts {
  isNew: boolean;
  failedAt: string | undefined;
  undecided: readonly string[];
}

export function WhenPart({ draft, set, at, errors, isNew, failedAt, undecided }: WhenProps) {
  const triggers = useQuery(listOf<Trigger>("triggers"));
  return (
    <>
      <section className="card pad col loose">
        {isNew && (
          <TextField
            label="Ref"
            mono
            value={draft.ref}
            onChange={(ref) => set({ ref })}
            error={at.ref}
            hint="pack.name, such as acme.big. The pack must exist."
          />
        )}
        <TextField label="Label" value={draft.label} onChange={(label) => set({ label })} error={at.label} />
      </section>
      <section className="card pad col loose">
        <h2>When</h2>
        <RefField
          label="Trigger"
          value={draft.trigger_ref}
          onChange={(trigger_ref) => set({ trigger_ref })}
          error={at.trigger_ref}
          options={triggers.data?.items}
        />
      </section>
      <section className="card pad col loose">
        <h2>And</h2>
        <ConditionEditor
          form={draft.condition}
          onChange={(condition) => set({ condition })}
          failedAt={failedAt}
          undecided={undecided}
          errors={errors}
        />
      </section>
    </>
  );
}

export function RunPart({ draft, set, at, errors, resolved }: Parts & { resolved: unknown }) {
  const actions = useQuery(listOf<Action>("actions"));
  const known = actions.data?.items.some((action) => action.ref === draft.action_ref) === true;
  const action = useQuery({ ...oneOf<Action>("actions", draft.action_ref), enabled: known });
  const model = formOfSchema(action.data?.parameters_schema);
  const values = (resolved ?? {}) as Record<string, unknown>;
  const rest = Object.fromEntries(
    Object.entries(draft.params).filter(([name]) => !model.fields.some((field) => field.name === name)),
  );
  const setParam = (name: string, value: Json | undefined) => {
    const { [name]: _, ...others } = draft.params;
    set({ params: value === undefined ? others : { ...draft.params, [name]: value } });
  };
  return (
    <section className="card pad col loose">
      <h2>Run</h2>
      <RefField
        label="Action"
        value={draft.action_ref}
        onChange={(action_ref) => set({ action_ref })}
        error={at.action_ref}
        options={actions.data?.items}
      />
      {model.fields.map((field) => {
        const isText = field.control.as === "text";
        const stored = draft.params[field.name];
        const shown = stored === undefined ? "" : isText && typeof stored === "string" ? stored : textOf(stored);
        const path = `action_params.${field.name}`;
        return (
          <TextField
            key={field.name}
            label={
              field.required ? (
                field.label
              ) : (
                <>
                  {field.label} <span className="meta">optional</span>
                </>
              )
            }
            mono
            value={shown}
            placeholder={field.default === undefined ? undefined : textOf(field.default)}
            onChange={(text) => setParam(field.name, text === "" ? undefined : isText ? text : jsonFrom(text))}
            error={
              errors.find(
                (error) =>
                  error.path === path || error.path.startsWith(`${path}.`) || error.path.startsWith(`${path}[`),
              )?.message
            }
            hint={hintOf(stored, values[field.name], field.hint)}
          />
        );
      })}
      {(Object.keys(rest).length > 0 || (known && model.fields.length === 0)) && (
        <JsonField
          label={model.fields.length === 0 ? "Parameters" : "Other parameters"}
          value={rest}
          onChange={(next) => set({ params: { ...without(draft.params, rest), ...(next as Record<string, Json>) } })}
        />
      )}
      <p className="meta">{"Templates such as {{ event.payload.total }} take values from the event."}</p>
    </section>
  );
}

const without = (all: Record<string, Json>, rest: object) =>
  Object.fromEntries(Object.entries(all).filter(([name]) => !(name in rest)));

/** The value that a template gives with the tested event. */
function hintOf(stored: Json | undefined, value: unknown, hint: string): string {
  if (typeof stored !== "string" || !stored.includes("{{") || value === undefined) return hint;
  return `is ${JSON.stringify(value)} with the tested event`;
}

export function Limits({ draft, set, at }: Parts) {
  const rate = (draft.rate_limit ?? {}) as { limit?: number; window_seconds?: number };
  const at_once = (draft.concurrency ?? {}) as { limit?: number; key?: string; overflow?: string };
  const number = (text: string): number | string => (/^\d+$/.test(text.trim()) ? Number(text) : text.trim());
  const setConcurrency = (change: object) => {
    const next = Object.fromEntries(
      Object.entries({ ...at_once, ...change }).filter(([, value]) => value !== "" && value != null),
    );
    set({ concurrency: next.limit === undefined ? null : (next as Json) });
  };
  const setRate = (change: object) => {
    const next = Object.fromEntries(
      Object.entries({ window_seconds: 60, ...rate, ...change }).filter(([, value]) => (value as unknown) !== ""),
    );
    set({ rate_limit: next.limit === undefined ? null : (next as Json) });
  };
  return (
    <section className="card pad col loose">
      <h2>Limits</h2>
      <div className="row wrap" style={{ alignItems: "flex-start", gap: 16 }}>
        <TextField
          label="At most at once"
          width="120px"
          value={String(at_once.limit ?? "")}
          placeholder="no limit"
          onChange={(text) => setConcurrency({ limit: text === "" ? "" : number(text) })}
          error={at.concurrency}
        />
        {at_once.limit !== undefined && (
          <>
            <label className="field">
              <span className="field-label">Others</span>
              <select
                className="input auto"
                value={at_once.overflow ?? "queue"}
                onChange={(event) =>
                  setConcurrency({ overflow: event.target.value === "queue" ? "" : event.target.value })
                }
              >
                <option value="queue">wait</option>
                <option value="skip">are skipped</option>
                <option value="cancel_previous">cancel the previous one</option>
              </select>
            </label>
            <TextField
              label="For each value of"
              mono
              width="220px"
              value={at_once.key ?? ""}
              placeholder="{{ event.payload.host }}"
              onChange={(key) => setConcurrency({ key })}
            />
          </>
        )}
        <TextField
          label="Start at most"
          width="120px"
          value={String(rate.limit ?? "")}
          placeholder="no limit"
          onChange={(text) => setRate({ limit: text === "" ? "" : number(text) })}
          error={at.rate_limit}
        />
        {rate.limit !== undefined && (
          <TextField
            label="in (seconds)"
            width="120px"
            value={String(rate.window_seconds ?? 60)}
            onChange={(text) => setRate({ window_seconds: number(text) })}
          />
        )}
      </div>
    </section>
  );
}
