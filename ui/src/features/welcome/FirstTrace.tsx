import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button, LinkButton } from "../../kit/button";
import { copyText } from "../../kit/copy";
import { Glyph } from "../../kit/glyph";
import { Loaded } from "../../kit/states";
import { Time } from "../../kit/time";
import { toast } from "../../kit/toast";
import { get } from "../../lib/http/client";
import { asProblem } from "../../lib/http/problem";
import { useLiveRefetch } from "../../lib/live";
import { isFinal } from "../executions/model";
import { LogView } from "../logs/LogView";
import { useTrace } from "../trace/api";
import { TraceGraph } from "../trace/TraceGraph";
import { callWebhook, type Enabled, latestEvent } from "./api";

/** What the new automation does: waits for its first event, then shows the trace grow. */
export function FirstTrace({ enabled, command }: { enabled: Enabled; command: string }) {
  const key = ["events", "first", enabled.triggerRef];
  const event = useQuery({
    queryKey: key,
    queryFn: async ({ signal }) => (await latestEvent(enabled.triggerRef, signal)) ?? null,
    refetchInterval: ({ state }) => (state.data ? false : 2_000),
  });
  useLiveRefetch(key, {
    kinds: ["event.created"],
    matches: (frame) => frame.trigger_ref === enabled.triggerRef,
    every: 300,
  });
  return (
    <div className="col loose">
      <div className="row wrap">
        <Glyph name="done" tone="ok" />
        <strong>
          <span className="mono">{enabled.ruleRef}</span> is enabled
        </strong>
        <span className="soft">
          It runs <code>{command.split("\n")[0]}</code>.
        </span>
      </div>
      {enabled.webhookUrl && <Address url={enabled.webhookUrl} />}
      {event.data ? <Growing id={event.data} /> : <Waiting enabled={enabled} />}
      <div className="row wrap">
        <LinkButton to="/" look="primary">
          Show what happens now
        </LinkButton>
        <LinkButton to={`/rules/${enabled.ruleRef}`}>Open the rule</LinkButton>
      </div>
    </div>
  );
}

function Waiting({ enabled }: { enabled: Enabled }) {
  const trigger = useQuery({
    queryKey: ["triggers", "one", enabled.triggerRef],
    queryFn: ({ signal }) => get<{ next_fire_at: string | null }>(`/api/v1/triggers/${enabled.triggerRef}`, { signal }),
  });
  const next = trigger.data?.next_fire_at;
  return (
    <p className="card pad row" role="status">
      <Glyph name="waiting" tone="wait" />
      {enabled.webhookUrl ? (
        "Waiting for the first request."
      ) : next ? (
        <span>
          It fires <Time at={next} show="relative" />, at <Time at={next} />.
        </span>
      ) : (
        "Waiting for the first event."
      )}
    </p>
  );
}

function Growing({ id }: { id: string }) {
  const [selected, setSelected] = useState<string>();
  const query = useTrace(id);
  return (
    <Loaded query={query}>
      {(trace) => {
        const node = trace.rules.flatMap((rule) => rule.executions)[0];
        return (
          <div className="col loose">
            <TraceGraph trace={trace} selected={selected} onSelect={setSelected} compact />
            {node && (
              <LogView
                key={node.id}
                executionId={node.id}
                attempt={1}
                attempts={1}
                running={!isFinal(node.execution.status)}
                ending={isFinal(node.execution.status) ? (node.execution.error ?? node.mark.word) : undefined}
              />
            )}
            <div>
              <LinkButton to={`/t/${id}`}>Open this trace</LinkButton>
            </div>
          </div>
        );
      }}
    </Loaded>
  );
}

function Address({ url }: { url: string }) {
  const [pending, setPending] = useState(false);
  const test = () => {
    setPending(true);
    callWebhook(url)
      .catch((error) => toast(asProblem(error).message, { tone: "bad" }))
      .finally(() => setPending(false));
  };
  const request = `curl -X POST -H 'Content-Type: application/json' -d '{"hello":"world"}' '${url}'`;
  return (
    <div className="card pad col">
      <code className="address">{url}</code>
      <div className="row wrap">
        <Button small onClick={() => copyText(url, "The address")}>
          Copy the address
        </Button>
        <Button small onClick={() => copyText(request, "The command")}>
          Copy as curl
        </Button>
        <Button small pending={pending} onClick={test}>
          Send a test
        </Button>
      </div>
      <p className="meta">Anyone who knows this address can call it. Add a signature on the webhook's page.</p>
    </div>
  );
}
