import { X } from "lucide-react";
import { IconButton, LinkButton } from "../../kit/button";
import { Glyph, StateBadge } from "../../kit/glyph";
import { JsonView } from "../../kit/json";
import { IdChip, Ref } from "../../kit/ref";
import { Words } from "../../kit/sentence";
import { type TabSpec, Tabs } from "../../kit/tabs";
import { endingOf, isFinal } from "../executions/model";
import { LogView } from "../logs/LogView";
import { checklist } from "./checklist";
import type { ExecutionNode, RuleNode, Trace } from "./model";

interface Props {
  trace: Trace;
  id: string;
  onClose: () => void;
}

/** What is known about the selected node. */
export function Selected({ trace, id, onClose }: Props) {
  const rule = trace.rules.find((each) => each.id === id || each.executions.some((node) => node.id === id));
  const node = [...(rule?.executions ?? []), ...trace.loose].find((each) => each.id === id);
  const isEvent = trace.event?.id === id;
  if (!node && !rule && !isEvent) return null;
  return (
    <section className="card selected" aria-label="Selected">
      <header>
        <h2 className="row grow cut">
          {node ? (
            <ExecutionTitle node={node} />
          ) : rule ? (
            <RuleTitle rule={rule} />
          ) : (
            `Event of ${trace.event?.trigger_ref}`
          )}
        </h2>
        {node && (
          <LinkButton small to={`/executions/${node.id}`}>
            Open
          </LinkButton>
        )}
        <IdChip id={id.replace(/^rule:/, "")} />
        <IconButton small name="Close" icon={<X size={14} />} onClick={onClose} />
      </header>
      <div className="selected-body">
        <Tabs key={id} param="part" name="Parts of the selected node" tabs={tabsOf(trace, rule, node, isEvent)} />
      </div>
    </section>
  );
}

function tabsOf(
  trace: Trace,
  rule: RuleNode | undefined,
  node: ExecutionNode | undefined,
  isEvent: boolean,
): TabSpec[] {
  if (isEvent && trace.event) {
    const { event } = trace;
    return [{ id: "payload", label: "Payload", content: () => <JsonView value={event.payload} name="Payload" /> }];
  }
  const why: TabSpec[] = rule ? [{ id: "why", label: "Why", content: () => <Why trace={trace} rule={rule} /> }] : [];
  if (!node) {
    const parameters = rule?.enforcement?.parameters;
    return parameters
      ? [
          ...why,
          { id: "parameters", label: "Parameters", content: () => <JsonView value={parameters} name="Parameters" /> },
        ]
      : why;
  }
  const { execution } = node;
  return [
    {
      id: "log",
      label: "Log",
      content: () => (
        <LogView
          key={execution.id}
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
      content: () => <JsonView value={execution.parameters} name="Parameters" />,
    },
    ...why,
  ];
}

const ExecutionTitle = ({ node }: { node: ExecutionNode }) => (
  <>
    <StateBadge mark={node.mark} />
    <Ref name={node.execution.action_ref} to={`/actions/${node.execution.action_ref}`} />
  </>
);

const RuleTitle = ({ rule }: { rule: RuleNode }) => (
  <>
    <StateBadge mark={rule.mark} />
    <Ref name={rule.ref} to={`/rules/${rule.ref}`} />
  </>
);

function Why({ trace, rule }: { trace: Trace; rule: RuleNode }) {
  const { checks, next } = checklist(trace, rule);
  return (
    <div className="col loose why">
      {rule.reason.length > 0 && (
        <p>
          <strong>{rule.ref}</strong> {rule.mark.word === "disabled" ? "" : `${rule.mark.word}: `}
          <Words of={rule.reason} />.
        </p>
      )}
      <ol className="col">
        {checks.map((check) => (
          <li key={check.question} className="check">
            <span className="soft">{check.question}</span>
            <Glyph
              name={check.ok === undefined ? "open" : check.ok ? "done" : "failed"}
              tone={check.ok === undefined ? "quiet" : check.ok ? "ok" : "bad"}
              label={check.ok === undefined ? "not known" : check.ok ? "yes" : "no"}
            />
            <span>{check.fact}</span>
          </li>
        ))}
      </ol>
      {rule.explained?.note && <p className="soft">{rule.explained.note}</p>}
      {next && (
        <div>
          <LinkButton look="primary" to={next.to}>
            {next.label}
          </LinkButton>
        </div>
      )}
    </div>
  );
}
