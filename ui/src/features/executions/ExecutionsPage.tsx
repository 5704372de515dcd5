import { useMemo, useState } from "react";
import { LinkButton } from "../../kit/button";
import { CopyAs, pageLink } from "../../kit/copy";
import { curl } from "../../kit/curl";
import { FilterBar, SelectFilter, sinceOptions, TextFilter } from "../../kit/filters";
import { useFresh } from "../../kit/fresh";
import { StateBadge } from "../../kit/glyph";
import { More } from "../../kit/more";
import { Page } from "../../kit/page";
import { Words } from "../../kit/sentence";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { DurationText, Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import type { Frame } from "../../lib/live";
import type { ExecutionSummary } from "../../lib/schema";
import { now, resolveSince, useZone } from "../../lib/time";
import { useExecutions } from "./api";
import { executionMark, lastLine, preview, startedBy, statuses, views, waited } from "./model";
import { SelectionBar } from "./SelectionBar";
import "./executions.css";

const filterNames = ["status", "rule_ref", "action_ref", "since"] as const;

export default function ExecutionsPage() {
  const [url, setUrl] = useUrl();
  const zone = useZone();
  const since = useMemo(() => resolveSince(url.since, now(), zone), [url.since, zone]);
  const filters = {
    status: url.status,
    rule_ref: url.rule_ref,
    action_ref: url.action_ref,
    event_id: url.event_id,
    since,
  };
  const query = useExecutions(filters);
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.data), [query.data]);
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const fresh = useFresh({
    key: ["executions", "list"],
    kinds: ["execution"],
    idOf: (frame) => frame.execution_id,
    fits: (frame) => fits(frame, filters),
    shown: rows,
    hold: selected.size > 0,
  });
  const filtered = filterNames.some((name) => url[name]);

  return (
    <Page
      title="Executions"
      actions={
        <CopyAs
          forms={[
            { label: "Link", text: pageLink },
            { label: "curl", text: () => curl("GET", `/api/v1/executions${window.location.search}`) },
            { label: "JSON", text: () => JSON.stringify(rows ?? [], null, 2) },
          ]}
        />
      }
    >
      <FilterBar clear={[...filterNames]}>
        <div className="row" role="group" aria-label="Views">
          {views.map((view) => {
            const on = url.status === view.url.status && url.since === view.url.since;
            return (
              <button
                key={view.id}
                type="button"
                className="chip"
                aria-pressed={on}
                onClick={() => setUrl({ ...view.url }, { push: true })}
              >
                {view.label}
              </button>
            );
          })}
        </div>
        <SelectFilter param="status" label="State" any="any state" options={statusOptions(url.status)} />
        <TextFilter param="rule_ref" label="rule" width="150px" />
        <TextFilter param="action_ref" label="action" width="150px" />
        <SelectFilter param="since" label="Created" any="any time" options={sinceOptions} />
      </FilterBar>
      {fresh.count > 0 && (
        <button type="button" className="pill-new" onClick={fresh.show}>
          {fresh.count} new ↑
        </button>
      )}
      <Loaded query={query}>
        {() =>
          !rows || rows.length === 0 ? (
            <Nothing filtered={filtered} />
          ) : (
            <>
              <Table
                name="Executions"
                columns={columns}
                rows={rows}
                rowKey={(row) => row.id}
                to={(row) => `/executions/${row.id}`}
                busy={query.isFetching && !query.isFetchingNextPage}
                selected={selected}
                onSelect={setSelected}
              />
              <More query={query} what="executions" />
            </>
          )
        }
      </Loaded>
      {selected.size > 0 && <SelectionBar rows={rows ?? []} selected={selected} clear={() => setSelected(new Set())} />}
    </Page>
  );
}

const statusOptions = (chosen: string | undefined) => {
  const single = statuses.map((status) => ({ value: status as string, label: executionMark(status).word }));
  return chosen?.includes(",")
    ? [{ value: chosen, label: chosen.replaceAll("_", " ").replaceAll(",", " or ") }, ...single]
    : single;
};

const columns: Column<ExecutionSummary>[] = [
  { id: "state", head: "State", width: "118px", cell: (row) => <StateBadge mark={executionMark(row.status)} /> },
  { id: "action", head: "Action", width: "13%", cell: (row) => <span className="mono">{row.action_ref}</span> },
  { id: "by", head: "Started by", width: "13%", phone: "off", cell: (row) => <Words of={startedBy(row)} /> },
  {
    id: "parameters",
    head: "Parameters",
    phone: "last",
    cell: (row) => <span className="mono soft">{preview(row.parameters)}</span>,
  },
  { id: "created", head: "Created", width: "138px", cell: (row) => <Time at={row.created_at} /> },
  {
    id: "waited",
    head: "Waited",
    width: "84px",
    align: "right",
    phone: "off",
    cell: (row) => <DurationText of={waited(row) ?? null} />,
  },
  { id: "ran", head: "Ran", width: "84px", align: "right", cell: (row) => <Ran row={row} /> },
  {
    id: "attempt",
    head: "Try",
    width: "48px",
    align: "right",
    phone: "off",
    cell: (row) => <span className="num soft">{row.attempt || "–"}</span>,
  },
  { id: "output", head: "Last output", phone: "last", cell: (row) => <Output row={row} /> },
];

function Ran({ row }: { row: ExecutionSummary }) {
  if (row.duration_ms !== null) return <DurationText of={row.duration_ms} />;
  return row.status === "running" || row.status === "canceling" ? (
    <DurationText from={row.started_at} />
  ) : (
    <span className="tone-quiet">–</span>
  );
}

function Output({ row }: { row: ExecutionSummary }) {
  if (row.error && !row.output_tail) return <span className="tone-bad">{row.error}</span>;
  return <span className="mono soft">{lastLine(row.output_tail)}</span>;
}

function Nothing({ filtered }: { filtered: boolean }) {
  if (filtered) return <Empty text="No executions match these filters." />;
  return (
    <Empty
      text="No executions yet."
      action={
        <LinkButton to="/actions/core.echo" look="primary">
          Run core.echo
        </LinkButton>
      }
    />
  );
}

function fits(frame: Frame, wanted: Record<string, string | undefined>): boolean {
  const status = frame.kind.split(".")[1] ?? "";
  return (
    (!wanted.status || wanted.status.split(",").includes(status)) &&
    (!wanted.rule_ref || wanted.rule_ref.split(",").includes(frame.rule_ref ?? "")) &&
    (!wanted.action_ref || wanted.action_ref.split(",").includes(frame.action_ref ?? "")) &&
    (!wanted.event_id || wanted.event_id === frame.event_id)
  );
}
