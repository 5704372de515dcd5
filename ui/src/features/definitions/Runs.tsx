import { queryOptions, useQuery } from "@tanstack/react-query";
import { LinkButton } from "../../kit/button";
import { StateBadge } from "../../kit/glyph";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { DurationText, Time } from "../../kit/time";
import { list } from "../../lib/http/client";
import { useLiveRefetch } from "../../lib/live";
import type { ExecutionSummary } from "../../lib/schema";
import { executionMark } from "../executions/model";

interface Filter {
  rule_ref?: string;
  action_ref?: string;
}

const runs = (filter: Filter) =>
  queryOptions({
    queryKey: ["executions", "list", { ...filter, limit: 20 }],
    queryFn: ({ signal }) => list<ExecutionSummary>("/api/v1/executions", { query: { ...filter, limit: 20 }, signal }),
  });

/** The latest executions of a rule or an action. */
export function Runs({ filter, empty }: { filter: Filter; empty: string }) {
  const options = runs(filter);
  const query = useQuery(options);
  useLiveRefetch(options.queryKey, {
    kinds: ["execution"],
    matches: (frame) =>
      (filter.rule_ref == null || frame.rule_ref === filter.rule_ref) &&
      (filter.action_ref == null || frame.action_ref === filter.action_ref),
  });
  const [name, value] = Object.entries(filter)[0] ?? [];
  return (
    <div className="col" style={{ paddingTop: 12 }}>
      <Loaded query={query}>{({ data }) => (data.length === 0 ? <Empty text={empty} /> : <Rows rows={data} />)}</Loaded>
      <div>
        <LinkButton small to={`/executions?${name}=${value}`}>
          All executions
        </LinkButton>
      </div>
    </div>
  );
}

function Rows({ rows }: { rows: ExecutionSummary[] }) {
  const columns: Column<ExecutionSummary>[] = [
    { id: "status", head: "State", cell: (row) => <StateBadge mark={executionMark(row.status)} />, width: "130px" },
    { id: "action", head: "Action", cell: (row) => <span className="mono">{row.action_ref}</span>, width: "20%" },
    {
      id: "by",
      head: "Started by",
      cell: (row) => <span className="mono soft">{row.rule_ref ?? (row.rerun_of == null ? "by hand" : "rerun")}</span>,
      width: "18%",
      phone: "off",
    },
    { id: "at", head: "Created", cell: (row) => <Time at={row.created_at} />, width: "150px" },
    {
      id: "ran",
      head: "Ran",
      cell: (row) => <DurationText of={row.duration_ms} from={row.started_at} to={row.finished_at} />,
      width: "90px",
      align: "right",
    },
    {
      id: "tail",
      head: "Last output",
      cell: (row) => <span className="mono soft">{row.error ?? row.output_tail ?? ""}</span>,
      phone: "last",
    },
  ];
  return (
    <Table
      name="Executions"
      columns={columns}
      rows={rows}
      rowKey={(row) => row.id}
      to={(row) => `/executions/${row.id}`}
    />
  );
}
