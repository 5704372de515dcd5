import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { JsonView } from "../../kit/json";
import { Page } from "../../kit/page";
import { Ref } from "../../kit/ref";
import { Loaded } from "../../kit/states";
import { Tabs } from "../../kit/tabs";
import { Time } from "../../kit/time";
import { useMay } from "../../lib/session";
import { duration } from "../../lib/time";
import { DeleteDialog, useOpen } from "../definitions/actions";
import { oneOf } from "../definitions/api";
import { Runs } from "../definitions/Runs";
import { UsedBy } from "../definitions/UsedBy";
import { copyForms } from "../definitions/words";
import { YamlTab } from "../definitions/YamlTab";
import { concurrencyWords } from "../rules/words";
import type { Action } from "./api";
import { RunForm } from "./RunForm";

export default function ActionPage() {
  const { ref = "" } = useParams({ strict: false }) as { ref?: string };
  const query = useQuery(oneOf<Action>("actions", ref));
  return (
    <Loaded query={query} notFound={`No action has the ref ${ref}.`}>
      {(action) => <Detail key={action.ref} action={action} />}
    </Loaded>
  );
}

function Detail({ action }: { action: Action }) {
  const { why } = useMay("editor");
  const removal = useOpen();
  return (
    <Page
      title={action.ref}
      heading={<span className="mono-title">{action.ref}</span>}
      aside={
        <span className="soft">
          {action.label !== action.ref && action.label}
          {!action.enabled && " disabled"}
        </span>
      }
      actions={
        <>
          <CopyAs forms={[{ label: "Command", text: `attune run ${action.ref}` }, ...copyForms("actions", action)]} />
          <Button look="danger" onClick={removal.show} why={why}>
            Delete
          </Button>
        </>
      }
    >
      {action.description != null && <p className="soft">{action.description}</p>}
      <Tabs
        tabs={[
          { id: "run", label: "Run", content: () => <RunForm action={action} /> },
          { id: "code", label: "Code", content: () => <Code action={action} /> },
          {
            id: "runs",
            label: "Executions",
            content: () => <Runs filter={{ action_ref: action.ref }} empty="This action has not run yet." />,
          },
          {
            id: "used",
            label: "Used by",
            content: () => (
              <div style={{ paddingTop: 12 }}>
                <UsedBy action={action.ref} />
              </div>
            ),
          },
          { id: "schema", label: "Schema", content: () => <Schemas action={action} /> },
          { id: "yaml", label: "YAML", content: () => <YamlTab definition={action} /> },
        ]}
      />
      <DeleteDialog noun="actions" refName={action.ref} open={removal.open} onClose={removal.hide} then="/actions">
        The action is removed. Its executions stay for as long as executions are kept. An action that rules use cannot
        be deleted.
      </DeleteDialog>
    </Page>
  );
}

function Code({ action }: { action: Action }) {
  return (
    <div className="col loose" style={{ paddingTop: 12 }}>
      <section className="card pad">
        <dl className="facts">
          <dt>Runtime</dt>
          <dd className="mono">{action.runtime_ref}</dd>
          <dt>Pool</dt>
          <dd>{action.pool}</dd>
          <dt>Time limit</dt>
          <dd>{duration(action.timeout_seconds * 1000)}</dd>
          <dt>If the worker is lost</dt>
          <dd>{action.on_lost === "requeue" ? "runs again" : "the execution ends as lost"}</dd>
          <dt>Limit</dt>
          <dd>{action.concurrency == null ? "none" : concurrencyWords(action.concurrency)}</dd>
          <dt>Attempts</dt>
          <dd>{action.retry == null ? "1" : `up to ${action.retry.max_attempts}`}</dd>
          <dt>Pack</dt>
          <dd>
            <Ref name={action.pack_ref} to={`/packs/${action.pack_ref}`} />
          </dd>
          <dt>Changed</dt>
          <dd>
            <Time at={action.updated_at} show="both" />
          </dd>
        </dl>
      </section>
      <section className="card">
        <header>
          <h2>{action.entry_kind === "file" ? "File of the pack" : "Entry point"}</h2>
        </header>
        <pre className="code">{action.entry_point}</pre>
      </section>
    </div>
  );
}

function Schemas({ action }: { action: Action }) {
  return (
    <div className="two" style={{ paddingTop: 12 }}>
      <section className="card pad col">
        <h2>Parameters</h2>
        {action.parameters_schema == null ? (
          <p className="soft">Not described: everything is accepted.</p>
        ) : (
          <JsonView value={action.parameters_schema} name="The schema of the parameters" />
        )}
      </section>
      <section className="card pad col">
        <h2>Output</h2>
        {action.output_schema == null ? (
          <p className="soft">Not described.</p>
        ) : (
          <JsonView value={action.output_schema} name="The schema of the output" />
        )}
      </section>
    </div>
  );
}
