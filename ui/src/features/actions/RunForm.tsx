import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Button, LinkButton } from "../../kit/button";
import { copyText } from "../../kit/copy";
import { StateBadge } from "../../kit/glyph";
import { JsonView } from "../../kit/json";
import { KeyHint } from "../../kit/keyhint";
import { Loaded } from "../../kit/states";
import { DurationText } from "../../kit/time";
import { get } from "../../lib/http/client";
import { asProblem } from "../../lib/http/problem";
import { useLiveRefetch } from "../../lib/live";
import type { Execution } from "../../lib/schema";
import { useMay } from "../../lib/session";
import { remember, remembered } from "../../lib/storage";
import { Form, FormErrors } from "../definitions/form";
import { JsonField } from "../definitions/JsonField";
import { endingOf, executionMark, isFinal } from "../executions/model";
import { LogView } from "../logs/LogView";
import { type Action, useRun } from "./api";
import { commandOf, formOfSchema, type Json, otherErrors, secretNames } from "./model";
import { SchemaFields } from "./SchemaFields";

type Values = Record<string, Json>;

export function RunForm({ action }: { action: Action }) {
  const model = useMemo(() => formOfSchema(action.parameters_schema), [action.parameters_schema]);
  const secrets = useMemo(() => secretNames(model), [model]);
  const recent = useRecent(action.ref, secrets);
  const [values, setValues] = useState<Values>({});
  const [asJson, setAsJson] = useState(false);
  const [version, setVersion] = useState(0);
  const run = useRun();
  const { why } = useMay("operator");
  const errors = run.error ? asProblem(run.error).problem.errors : [];
  const unknown = run.error
    ? otherErrors(errors, "parameters", model).map((error) => `${error.path} ${error.message}`)
    : [];
  if (run.error && errors.length === 0) unknown.push(asProblem(run.error).problem.detail);
  const start = () => {
    recent.add(values);
    run.mutate({ action: action.ref, parameters: values });
  };
  const change = (next: Values) => {
    if (run.error) run.reset();
    setValues(next);
  };
  const command = commandOf(action.ref, values, secrets);
  const disabled = why ?? (action.enabled ? undefined : "This action is disabled.");
  return (
    <div className="editor" style={{ paddingTop: 12 }}>
      <Form onSave={() => disabled === undefined && start()} error={run.error} className="card pad col loose">
        <h2>Parameters</h2>
        <FormErrors errors={unknown} />
        {model.fields.length === 0 && !asJson && <p className="soft">This action describes no parameters.</p>}
        {asJson ? (
          <JsonField
            label="Parameters as JSON"
            rows={12}
            value={values}
            onChange={(next) => change((next ?? {}) as Values)}
          />
        ) : (
          <SchemaFields key={version} fields={model.fields} value={values} onChange={change} path="" errors={errors} />
        )}
        <span className="row wrap">
          <Button look="primary" type="submit" pending={run.isPending} why={disabled}>
            Run <KeyHint keys="mod+Enter" />
          </Button>
          <Button look="plain" onClick={() => setAsJson(!asJson)}>
            {asJson ? "Edit as a form" : "Edit as JSON"}
          </Button>
          {recent.sets.length > 0 && (
            <select
              className="input auto"
              aria-label="Recent parameters"
              value=""
              onChange={(event) => {
                change(recent.sets[Number(event.target.value)] ?? {});
                setVersion(version + 1);
              }}
            >
              <option value="">recent …</option>
              {recent.sets.map((set, i) => (
                <option key={JSON.stringify(set)} value={i}>
                  {JSON.stringify(set).slice(0, 60)}
                </option>
              ))}
            </select>
          )}
        </span>
        <button
          type="button"
          className="id command"
          title="Copy the command"
          onClick={() => copyText(command, "The command")}
        >
          {command}
        </button>
      </Form>
      <div className="aside">
        {run.data ? <Result id={run.data.id} /> : <p className="meta">The result appears here after the run.</p>}
      </div>
    </div>
  );
}

/** How the execution goes on, without leaving the page. */
function Result({ id }: { id: string }) {
  const key = ["executions", "one", id];
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => get<Execution>(`/api/v1/executions/${id}`, { signal }),
  });
  useLiveRefetch(key, { kinds: ["execution"], matches: (frame) => frame.execution_id === id, every: 500 });
  return (
    <section className="card" aria-label="Result">
      <header>
        <h2>Result</h2>
        <span className="push" />
        <LinkButton small to={`/executions/${id}`}>
          Open
        </LinkButton>
      </header>
      <div className="col" style={{ padding: 16 }}>
        <Loaded query={query}>{(execution) => <Ended execution={execution} />}</Loaded>
      </div>
    </section>
  );
}

function Ended({ execution }: { execution: Execution }) {
  const final = isFinal(execution.status);
  const { output } = (execution.result ?? {}) as { output?: unknown };
  return (
    <>
      <span className="row wrap">
        <StateBadge mark={executionMark(execution.status)} />
        {execution.started_at != null && <DurationText from={execution.started_at} to={execution.finished_at} />}
      </span>
      {execution.waiting != null && <p className="soft">{execution.waiting}</p>}
      {execution.error != null && <p className="tone-bad">{execution.error}</p>}
      {(execution.started_at != null || final) && (
        <LogView
          executionId={execution.id}
          attempt={execution.attempt}
          attempts={execution.attempt}
          running={!final}
          ending={endingOf(execution)}
        />
      )}
      {output !== undefined && <JsonView value={output} name="The output" />}
    </>
  );
}

/** The last ten sets of parameters of an action, in this browser. Secret fields are left out. */
function useRecent(ref: string, secrets: ReadonlySet<string>) {
  const [sets, setSets] = useState(() => remembered<Values[]>(`parameters.${ref}`, []));
  const add = (values: Values) => {
    const kept = Object.fromEntries(Object.entries(values).filter(([name]) => !secrets.has(name)));
    if (Object.keys(kept).length === 0) return;
    const text = JSON.stringify(kept);
    const next = [kept, ...sets.filter((set) => JSON.stringify(set) !== text)].slice(0, 10);
    setSets(next);
    remember(`parameters.${ref}`, next);
  };
  return { sets, add };
}
