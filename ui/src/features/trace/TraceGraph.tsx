import { clsx } from "clsx";
import { type KeyboardEvent, type ReactNode, useState } from "react";
import { Button, LinkButton } from "../../kit/button";
import { Glyph, StateBadge } from "../../kit/glyph";
import { Words } from "../../kit/sentence";
import { DurationText, Time } from "../../kit/time";
import type { Event } from "../../lib/schema";
import { duration, ms } from "../../lib/time";
import { lastLine, preview } from "../executions/model";
import type { ExecutionNode, RuleNode, Trace } from "./model";
import { nodeIds } from "./model";
import "./trace.css";

interface Props {
  trace: Trace;
  selected: string | undefined;
  onSelect: (id: string) => void;
  /** A part of another page: no column heads. */
  compact?: boolean;
}

/** Beyond this many, rules that did nothing are collapsed. */
const quietMax = 8;

/** Origin, event, rules, enforcements and executions, in five fixed columns. */
export function TraceGraph({ trace, selected, onSelect, compact }: Props) {
  const [all, setAll] = useState(false);
  const quiet = trace.rules.filter((rule) => rule.executions.length === 0 && rule.mark.tone === "quiet");
  const hidden = all || quiet.length <= quietMax ? [] : quiet.slice(quietMax);
  const shown = trace.rules.filter((rule) => !hidden.includes(rule));
  const ids = nodeIds(trace);

  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const at = ids.indexOf((event.target as HTMLElement).dataset.node ?? "");
    if (step === undefined || at < 0) return;
    event.preventDefault();
    const next = ids[Math.min(ids.length - 1, Math.max(0, at + step))];
    document.querySelector<HTMLElement>(`[data-node="${next}"]`)?.focus();
  };

  return (
    <div
      className={clsx("graph", compact && "compact")}
      role="tree"
      aria-label="The chain of this trace"
      onKeyDown={onKeyDown}
    >
      <div className="graph-left">
        {trace.event ? (
          <EventCard event={trace.event} trace={trace} selected={selected} onSelect={onSelect} />
        ) : (
          <div className="node stub" role="treeitem" aria-level={1} tabIndex={-1}>
            {trace.rules.length > 0 ? "The event is no longer stored." : "Run by hand"}
          </div>
        )}
      </div>
      <div className="graph-rows">
        {shown.map((rule) => (
          <RuleRow key={rule.ref} rule={rule} selected={selected} onSelect={onSelect} />
        ))}
        {trace.loose.map((node) => (
          <div key={node.id} className="graph-row">
            <span className="graph-rule soft">{node.execution.rerun_of ? "run again" : "run by hand"}</span>
            <span className="graph-arrow" aria-hidden />
            <ExecutionCard node={node} selected={selected} onSelect={onSelect} />
          </div>
        ))}
        {hidden.length > 0 && (
          <div className="graph-row">
            <Button small look="plain" onClick={() => setAll(true)}>
              + {hidden.length} more rules that did not match
            </Button>
          </div>
        )}
        {trace.event && trace.rules.length === 0 && trace.loose.length === 0 && (
          <div className="graph-row">
            <span className="soft">
              {trace.event.status === "pending" ? "Its rules have not been evaluated yet." : "No rule of this trigger."}
            </span>
            <LinkButton small to={`/rules/new?trigger=${trace.event.trigger_ref}&event=${trace.event.id}`}>
              Create a rule
            </LinkButton>
          </div>
        )}
        {(trace.omitted > 0 || trace.more) && (
          <p className="graph-row soft">
            {trace.omitted > 0 && `+ ${trace.omitted} rules not shown. `}
            {trace.more && "There are more executions than are shown."}
          </p>
        )}
      </div>
    </div>
  );
}

interface CardProps {
  id: string;
  level: number;
  name: string;
  tone: string;
  selected: string | undefined;
  onSelect: (id: string) => void;
  className?: string;
  children: ReactNode;
}

function Card({ id, level, name, tone, selected, onSelect, className, children }: CardProps) {
  return (
    <button
      type="button"
      className={clsx("node", className)}
      data-node={id}
      data-tone={tone}
      role="treeitem"
      aria-level={level}
      aria-label={name}
      aria-selected={selected === id}
      onClick={() => onSelect(id)}
    >
      {children}
    </button>
  );
}

const sourceWords: Record<string, string> = {
  api: "received through the API",
  manual: "sent by hand",
  webhook: "received by its webhook",
  timer: "fired by its timer",
  file_watch: "a file changed",
  system: "reported by Attune",
};

function EventCard({
  event,
  trace,
  ...rest
}: { event: Event; trace: Trace } & Pick<CardProps, "selected" | "onSelect">) {
  const late = event.scheduled_at ? ms(event.received_at) - ms(event.scheduled_at) : 0;
  return (
    <Card
      id={event.id}
      level={1}
      name={`Event of ${event.trigger_ref}, ${event.status}`}
      tone="quiet"
      className="event-node"
      {...rest}
    >
      <span className="mono node-title">{event.trigger_ref}</span>
      <span className="meta">{sourceWords[event.source]}</span>
      <span className="meta">
        <Time at={event.received_at} precision="ms" />
      </span>
      {late >= 1_000 && <span className="tone-late">▲ {duration(late)} late</span>}
      <span className="mono soft clamp">{preview(event.payload, 5)}</span>
      <span className="meta">
        {event.status === "decided" && trace.decidedAt !== undefined
          ? `evaluated in ${duration(trace.decidedAt - ms(event.received_at))}`
          : event.status === "quarantined"
            ? "quarantined"
            : "not evaluated yet"}
      </span>
    </Card>
  );
}

function RuleRow({ rule, selected, onSelect }: { rule: RuleNode } & Pick<CardProps, "selected" | "onSelect">) {
  const dim = rule.executions.length === 0;
  return (
    <div className={clsx("graph-row", dim && "dim")}>
      <Card
        id={rule.id}
        level={2}
        name={`Rule ${rule.ref}: ${rule.mark.word}`}
        tone={rule.mark.tone}
        className="graph-rule"
        selected={selected}
        onSelect={onSelect}
      >
        <span className="row">
          <Glyph name={rule.mark.glyph} tone={rule.mark.tone} />
          <span className="mono cut">{rule.ref}</span>
        </span>
      </Card>
      <span className="graph-arrow" aria-hidden />
      {dim ? (
        <span className="graph-reason">
          <span className={`tone-${rule.mark.tone}`}>{rule.mark.word === "disabled" ? "" : rule.mark.word}</span>{" "}
          <Words of={rule.reason} />
        </span>
      ) : (
        <div className="graph-executions">
          {rule.executions.map((node) => (
            <ExecutionCard key={node.id} node={node} selected={selected} onSelect={onSelect} />
          ))}
        </div>
      )}
    </div>
  );
}

function ExecutionCard({
  node,
  selected,
  onSelect,
}: { node: ExecutionNode } & Pick<CardProps, "selected" | "onSelect">) {
  const { execution, mark } = node;
  const wait = node.bars.find((bar) => bar.kind === "waited" && (bar.to ?? 0) - bar.from >= 1_000);
  const ran = execution.started_at !== null;
  return (
    <Card
      id={node.id}
      level={3}
      name={`${execution.action_ref}: ${mark.word}`}
      tone={mark.tone}
      className="execution-node"
      selected={selected}
      onSelect={onSelect}
    >
      <span className="row">
        <StateBadge mark={mark} />
        <span className="mono cut">{execution.action_ref}</span>
        {execution.rerun_of && <span className="tag">run again</span>}
        <span className="push soft">
          {execution.duration_ms !== null ? (
            <DurationText of={execution.duration_ms} />
          ) : ran && execution.finished_at === null ? (
            <DurationText from={execution.started_at} />
          ) : null}
        </span>
      </span>
      {execution.waiting && <span className="tone-wait clamp">waiting: {execution.waiting}</span>}
      {!execution.waiting && wait?.to !== undefined && (
        <span className="meta">waited {duration(wait.to - wait.from)}</span>
      )}
      {execution.attempt > 1 && <span className="meta">attempt {execution.attempt}</span>}
      {execution.error && mark.tone !== "run" ? (
        <span className={`tone-${mark.tone} clamp`}>{execution.error}</span>
      ) : (
        execution.output_tail && <span className="mono soft cut">{lastLine(execution.output_tail)}</span>
      )}
    </Card>
  );
}
