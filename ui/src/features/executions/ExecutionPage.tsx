import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { Button, LinkButton } from "../../kit/button";
import { CopyAs, pageLink } from "../../kit/copy";
import { curl } from "../../kit/curl";
import { ConfirmDanger } from "../../kit/dialog";
import { Glyph, StateBadge } from "../../kit/glyph";
import { JsonView } from "../../kit/json";
import { Menu } from "../../kit/menu";
import { Page } from "../../kit/page";
import { IdChip, Ref } from "../../kit/ref";
import { Banner, Loaded, Skeleton } from "../../kit/states";
import { Tabs } from "../../kit/tabs";
import { DurationText, Time } from "../../kit/time";
import { toast } from "../../kit/toast";
import { asProblem } from "../../lib/http/problem";
import { useKeys } from "../../lib/keys";
import type { Attempt, Execution } from "../../lib/schema";
import { useMay } from "../../lib/session";
import { LogView } from "../logs/LogView";
import { cancelExecution, rerunExecution, useAttempts, useExecution } from "./api";
import { EditAndRun } from "./EditAndRun";
import { endingOf, executionMark, isFinal, isProblem, waited } from "./model";
import { Phases } from "./Phases";
import "./executions.css";

export default function ExecutionPage() {
  const { id = "" } = useParams({ strict: false }) as { id?: string };
  const query = useExecution(id);
  return (
    <Loaded
      query={query}
      skeleton={
        <Page title="Execution">
          <Skeleton />
        </Page>
      }
      notFound={`Execution …${id.slice(-8)} does not exist. It may have been removed (executions are kept for a number of days), or the address is mistyped.`}
    >
      {(execution) => <Detail execution={execution} />}
    </Loaded>
  );
}

function Detail({ execution }: { execution: Execution }) {
  const mark = executionMark(execution.status);
  const attempts = useAttempts(execution.id, `${execution.attempt}-${execution.status}`).data ?? [];
  const { glyph } = mark;
  const sign = isProblem(execution.status) ? "✕" : glyph === "done" ? "✓" : glyph === "running" ? "◐" : "○";
  return (
    <Page
      title={`${sign} ${mark.word} · ${execution.action_ref}`}
      heading={
        <span className="row wrap">
          <Glyph name={mark.glyph} tone={mark.tone} size={20} />
          <span className={`tone-${mark.tone}`}>{mark.word}</span>
          <Link to={`/actions/${execution.action_ref}`} className="mono execution-action">
            {execution.action_ref}
          </Link>
        </span>
      }
      aside={<Summary execution={execution} attempts={attempts.length} />}
      actions={<Actions execution={execution} />}
    >
      <Cause execution={execution} />
      {execution.waiting && (
        <Banner tone="wait" glyph="waiting">
          Waiting: {execution.waiting}
        </Banner>
      )}
      {execution.error && isProblem(execution.status) && !execution.error.startsWith("exit code") && (
        <Banner tone={mark.tone} glyph={mark.glyph}>
          {execution.error}
        </Banner>
      )}
      <Phases execution={execution} attempts={attempts} />
      <Tabs
        tabs={[
          {
            id: "log",
            label: "Log",
            content: () => (
              <LogView
                executionId={execution.id}
                attempt={Math.max(1, execution.attempt)}
                attempts={Math.max(1, execution.attempt)}
                running={!isFinal(execution.status)}
                ending={endingOf(execution)}
              />
            ),
          },
          {
            id: "parameters",
            label: "Parameters",
            content: () => <Value value={execution.parameters} name="Parameters" />,
          },
          { id: "result", label: "Result", content: () => <Value value={execution.result} name="Result" /> },
          {
            id: "attempts",
            label: `Attempts ${attempts.length || ""}`,
            content: () => <AttemptList attempts={attempts} />,
          },
          { id: "about", label: "About", content: () => <About execution={execution} /> },
        ]}
      />
    </Page>
  );
}

const Value = ({ value, name }: { value: unknown; name: string }) => (
  <div className="card">
    <JsonView value={value} name={name} />
  </div>
);

function Summary({ execution, attempts }: { execution: Execution; attempts: number }) {
  return (
    <span className="row wrap soft">
      {execution.exit_code !== null && <span>exit code {execution.exit_code}</span>}
      {attempts > 1 && <span>attempt {execution.attempt}</span>}
      {execution.started_at && (
        <span>
          ran <DurationText from={execution.started_at} to={execution.finished_at} />
        </span>
      )}
      <Time at={execution.created_at} show="both" />
    </span>
  );
}

function Cause({ execution }: { execution: Execution }) {
  return (
    <p className="row wrap soft">
      {execution.rerun_of ? (
        <span>
          Run again, after <Ref name={`…${execution.rerun_of.slice(-8)}`} to={`/executions/${execution.rerun_of}`} />
        </span>
      ) : execution.rule_ref ? (
        <span>
          Started by rule <Ref name={execution.rule_ref} to={`/rules/${execution.rule_ref}`} />
        </span>
      ) : (
        <span>Run by hand</span>
      )}
      {execution.event_id && (
        <span>
          for event{" "}
          <Ref name={`…${execution.event_id.slice(-8)}`} to={`/t/${execution.trace_id}?node=${execution.event_id}`} />
        </span>
      )}
      <LinkButton to={`/t/${execution.trace_id}?node=${execution.id}`} small>
        Trace
      </LinkButton>
    </p>
  );
}

function Actions({ execution }: { execution: Execution }) {
  const { why } = useMay("operator");
  const navigate = useNavigate();
  const client = useQueryClient();
  const [confirming, setConfirming] = useState(false);
  const [editing, setEditing] = useState(false);
  const failed = (error: unknown) => toast(asProblem(error).message, { tone: "bad" });
  const rerun = useMutation({
    mutationFn: () => rerunExecution(execution.id),
    onSuccess: ({ data }) => void navigate({ to: `/executions/${data.id}` }),
    onError: failed,
  });
  const cancel = useMutation({
    mutationFn: () => cancelExecution(execution.id),
    onSuccess: () => client.invalidateQueries({ queryKey: ["executions"] }),
    onError: failed,
    onSettled: () => setConfirming(false),
  });
  const ended = isFinal(execution.status);
  useKeys("Execution", [
    { keys: "r", text: "Run again", run: () => ended && !why && rerun.mutate() },
    { keys: "t", text: "Open the trace", run: () => void navigate({ to: `/t/${execution.trace_id}` }) },
  ]);
  return (
    <>
      <Menu
        label="Run again"
        entries={[
          {
            label: "With the same parameters",
            onSelect: () => rerun.mutate(),
            why: ended ? undefined : "It has not ended yet.",
          },
          { label: "Edit the parameters…", onSelect: () => setEditing(true) },
        ]}
      >
        <Button why={why} pending={rerun.isPending}>
          Run again ▾
        </Button>
      </Menu>
      {!ended && (
        <Button look="danger" why={why} onClick={() => setConfirming(true)}>
          Cancel
        </Button>
      )}
      <CopyAs
        forms={[
          { label: "Link", text: pageLink },
          { label: "Command", text: `attune why ${execution.id}` },
          { label: "curl", text: () => curl("GET", `/api/v1/executions/${execution.id}`) },
          { label: "Id", text: execution.id },
          { label: "JSON", text: () => JSON.stringify(execution, null, 2) },
        ]}
      />
      <ConfirmDanger
        open={confirming}
        onClose={() => setConfirming(false)}
        title={`Cancel ${execution.action_ref}?`}
        verb="Cancel it"
        pending={cancel.isPending}
        onConfirm={() => cancel.mutate()}
      >
        {execution.status === "running"
          ? "The running action is stopped. What it has done already stays done."
          : "It has not started and will not run."}
      </ConfirmDanger>
      {editing && <EditAndRun execution={execution} onClose={() => setEditing(false)} />}
    </>
  );
}

const outcomeMark = (outcome: string | null) =>
  executionMark((outcome ?? "running") as Parameters<typeof executionMark>[0]) ?? executionMark("lost");

function AttemptList({ attempts }: { attempts: Attempt[] }) {
  if (attempts.length === 0) return <p className="card pad soft">It has not started yet.</p>;
  return (
    <ul className="card">
      {attempts.map((attempt) => (
        <li key={attempt.attempt} className="attempt row wrap">
          <span className="soft num">attempt {attempt.attempt}</span>
          <StateBadge mark={outcomeMark(attempt.outcome)} />
          <span>{attempt.reason}</span>
          <span className="push soft row">
            <Time at={attempt.started_at} precision="ms" />
            <DurationText from={attempt.started_at} to={attempt.ended_at} />
          </span>
          {attempt.late_outcome && <span className="meta">It reported later: {attempt.late_outcome}</span>}
        </li>
      ))}
    </ul>
  );
}

function About({ execution }: { execution: Execution }) {
  const wait = waited(execution);
  return (
    <dl className="facts card pad">
      <dt>Execution</dt>
      <dd>
        <IdChip id={execution.id} />
      </dd>
      <dt>Trace</dt>
      <dd>
        <IdChip id={execution.trace_id} />
      </dd>
      <dt>Created</dt>
      <dd>
        <Time at={execution.created_at} show="both" precision="ms" />
      </dd>
      <dt>Due</dt>
      <dd>
        <Time at={execution.scheduled_at} precision="ms" />
      </dd>
      <dt>Started</dt>
      <dd>
        <Time at={execution.started_at} precision="ms" />{" "}
        {wait !== undefined && (
          <span className="soft">
            after <DurationText of={wait} />
          </span>
        )}
      </dd>
      <dt>Finished</dt>
      <dd>
        <Time at={execution.finished_at} precision="ms" />
      </dd>
      <dt>Worker</dt>
      <dd>{execution.worker ? <IdChip id={execution.worker} /> : "–"}</dd>
      {execution.pack_hash && (
        <>
          <dt>Pack's code</dt>
          <dd className="mono">{execution.pack_hash.slice(0, 12)}</dd>
        </>
      )}
    </dl>
  );
}
