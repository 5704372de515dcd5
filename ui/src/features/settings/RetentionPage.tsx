import { useQuery } from "@tanstack/react-query";
import { Page } from "../../kit/page";
import { Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { grouped } from "../../lib/numbers";
import { type Retention, retention } from "./api";
import { SettingsTabs } from "./SettingsTabs";

const NOUNS: Record<string, string> = {
  event: "Events",
  event_decision: "Decisions about events",
  enforcement: "Enforcements",
  execution: "Executions",
  execution_attempt: "Attempts of executions",
  execution_log: "Output of executions",
};

export default function RetentionPage() {
  const query = useQuery(retention());
  return (
    <Page title="Retention">
      <SettingsTabs here="/settings/retention" />
      <p className="soft">
        History is removed after these days. The configuration of the services sets them; see retention in attune.toml.
      </p>
      <Loaded query={query}>{(rows) => <Rows rows={rows} />}</Loaded>
    </Page>
  );
}

function Rows({ rows }: { rows: Retention[] }) {
  const columns: Column<Retention>[] = [
    { id: "table", head: "What", cell: (row) => NOUNS[row.table] ?? row.table, width: "26%" },
    { id: "keep", head: "Kept for", cell: (row) => `${row.keep_days} days`, width: "110px", align: "right" },
    {
      id: "oldest",
      head: "Oldest day",
      cell: (row) => <span className="num">{row.oldest_day ?? "–"}</span>,
      width: "130px",
      align: "right",
    },
    { id: "days", head: "Partitions", cell: (row) => row.partitions, width: "100px", align: "right", phone: "off" },
    {
      id: "removed",
      head: "Rows removed",
      cell: (row) => grouped(row.removed_rows),
      width: "130px",
      align: "right",
      phone: "off",
    },
    { id: "last", head: "Last check", cell: (row) => <Time at={row.expired_at} show="relative" />, phone: "off" },
  ];
  return <Table name="Retention" columns={columns} rows={rows} rowKey={(row) => row.table} onOpen={() => undefined} />;
}
