import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Button } from "../../kit/button";
import { CopyAs, pageLink } from "../../kit/copy";
import { Choice } from "../../kit/form";
import { Glyph } from "../../kit/glyph";
import { Menu, type MenuEntry } from "../../kit/menu";
import { Page } from "../../kit/page";
import { plain } from "../../kit/sentence";
import { Banner, Loaded, Skeleton } from "../../kit/states";
import { DurationText, Time } from "../../kit/time";
import { toast } from "../../kit/toast";
import { useUrl } from "../../kit/url";
import { asProblem } from "../../lib/http/problem";
import { useKeys } from "../../lib/keys";
import { togglePause } from "../../lib/live";
import { useMay } from "../../lib/session";
import { useNow, useZone } from "../../lib/time";
import { sendAgain } from "../events/api";
import { rerunExecution } from "../executions/api";
import { isFinal } from "../executions/model";
import { useTrace } from "./api";
import { nodeIds, type Trace } from "./model";
import { narrate } from "./narrate";
import { Selected } from "./Selected";
import { TimeAxis } from "./TimeAxis";
import { TraceGraph } from "./TraceGraph";
import { WordsView } from "./WordsView";

export default function TracePage() {
  const { id = "" } = useParams({ strict: false }) as { id?: string };
  const query = useTrace(id);
  return (
    <Loaded
      query={query}
      skeleton={
        <Page title="Trace">
          <Skeleton rows={8} />
        </Page>
      }
      notFound={`There is no trace …${id.slice(-8)}. It may have been removed after the days it is kept, or the address is mistyped.`}
    >
      {(trace) => <Detail trace={trace} />}
    </Loaded>
  );
}

const viewNames = ["graph", "time", "words"] as const;
type View = (typeof viewNames)[number];

function Detail({ trace }: { trace: Trace }) {
  const [url, setUrl] = useUrl();
  const zone = useZone();
  const now = useNow(60);
  const view = viewNames.find((name) => name === url.view) ?? "graph";
  const selected = url.node;
  const select = (node: string) =>
    setUrl({ node: node === selected ? undefined : node, part: undefined, attempt: undefined });
  const facts = narrate(trace, zone, now);
  const name = trace.event?.trigger_ref ?? trace.loose[0]?.execution.action_ref ?? "trace";
  const executions = [...trace.rules.flatMap((rule) => rule.executions), ...trace.loose];
  const setView = (next: View) => setUrl({ view: next === "graph" ? undefined : next });

  const move = (step: number) => {
    const ids = nodeIds(trace);
    const at = selected ? ids.indexOf(selected) : -1;
    const next = ids[Math.min(ids.length - 1, Math.max(0, at + step))];
    if (next) setUrl({ node: next, part: undefined });
  };
  useKeys("Trace", [
    { keys: "v", text: "Next view", run: () => setView(viewNames[(viewNames.indexOf(view) + 1) % 3] ?? "graph") },
    { keys: "j", text: "Next node", run: () => move(1) },
    { keys: "k", text: "Previous node", run: () => move(-1) },
    { keys: "l", text: "Log of the selected execution", run: () => setUrl({ part: undefined }) },
    { keys: "y", text: "Why", run: () => setUrl({ part: "why" }) },
    { keys: "Escape", text: "Close the selected node", run: () => setUrl({ node: undefined, part: undefined }) },
    { keys: " ", text: "Pause or resume live updates", run: togglePause },
  ]);

  return (
    <Page
      title={`${trace.worst.tone === "bad" ? "✕" : trace.worst.tone === "ok" ? "✓" : "○"} ${trace.worst.word} · ${name}`}
      heading={
        <span className="row wrap">
          <Glyph name={trace.worst.glyph} tone={trace.worst.tone} size={20} />
          <span className="mono trace-name">{name}</span>
        </span>
      }
      aside={
        <span className="row wrap soft">
          <span className={`tone-${trace.worst.tone}`}>{trace.worst.word}</span>
          <span>
            {executions.length} {executions.length === 1 ? "execution" : "executions"}
          </span>
          <Time at={trace.from} show="both" precision="ms" />
          <DurationText from={trace.from} to={trace.to ?? null} />
        </span>
      }
      actions={<Actions trace={trace} facts={facts.map(({ text }) => plain(text))} />}
    >
      {trace.event?.status === "quarantined" && (
        <Banner tone="late">
          This event is quarantined: its rules could not be evaluated. Attention shows the error.
        </Banner>
      )}
      <Choice
        label="View"
        value={view}
        options={viewNames.map((value) => ({ value, label: `${value.charAt(0).toUpperCase()}${value.slice(1)}` }))}
        onChange={setView}
      />
      {view === "graph" && <TraceGraph trace={trace} selected={selected} onSelect={select} />}
      {view !== "words" && executions.length + (trace.event ? 1 : 0) > 0 && (
        <TimeAxis trace={trace} selected={selected} onSelect={select} />
      )}
      {view === "words" && (
        <WordsView facts={facts} live={trace.to === undefined} selected={selected} onSelect={select} />
      )}
      {selected && (
        <Selected trace={trace} id={selected} onClose={() => setUrl({ node: undefined, part: undefined })} />
      )}
    </Page>
  );
}

function Actions({ trace, facts }: { trace: Trace; facts: string[] }) {
  const { why } = useMay("operator");
  const client = useQueryClient();
  const done = (text: string) => () => {
    toast(text, { tone: "ok" });
    void client.invalidateQueries({ queryKey: ["trace", trace.id] });
  };
  const failed = (error: unknown) => toast(asProblem(error).message, { tone: "bad" });
  const rerun = useMutation({ mutationFn: rerunExecution, onSuccess: done("It was started again."), onError: failed });
  const again = useMutation({ mutationFn: sendAgain, onSuccess: done("The event was sent again."), onError: failed });
  const ended = [...trace.rules.flatMap((rule) => rule.executions), ...trace.loose].filter((node) =>
    isFinal(node.execution.status),
  );
  const entries: (MenuEntry | "line")[] = ended.slice(0, 12).map(({ id, execution, mark }) => ({
    label: `${execution.action_ref} (${mark.word})`,
    hint: execution.rule_ref ?? "",
    onSelect: () => rerun.mutate(id),
  }));
  const { event } = trace;
  if (event) entries.push("line", { label: "The whole event again", onSelect: () => again.mutate(event) });
  return (
    <>
      {entries.length > 0 && (
        <Menu label="Run again" entries={entries}>
          <Button why={why} pending={rerun.isPending || again.isPending}>
            Run again ▾
          </Button>
        </Menu>
      )}
      <CopyAs
        forms={[
          { label: "Link", text: pageLink },
          { label: "Words", text: facts.map((line, index) => `${index + 1}. ${line}`).join("\n") },
          { label: "Command", text: `attune why ${trace.id}` },
          { label: "JSON", text: () => JSON.stringify(trace, null, 2) },
        ]}
      />
    </>
  );
}
