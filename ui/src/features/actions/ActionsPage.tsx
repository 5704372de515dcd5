import { useQuery } from "@tanstack/react-query";
import { FilterBar, TextFilter } from "../../kit/filters";
import { Page } from "../../kit/page";
import { Ref } from "../../kit/ref";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { useUrl } from "../../kit/url";
import { listOf } from "../definitions/api";
import type { Action } from "./api";

export default function ActionsPage() {
  const [url] = useUrl();
  const query = useQuery(listOf<Action>("actions", { pack_ref: url.pack_ref }));
  const text = (url.q ?? "").toLowerCase();
  return (
    <Page title="Actions">
      <FilterBar clear={["q", "pack_ref"]}>
        <TextFilter param="q" label="Filter by ref or label" width="220px" />
        <TextFilter param="pack_ref" label="Pack" />
      </FilterBar>
      <Loaded query={query}>
        {({ items }) => {
          const rows = items.filter((action) => action.ref.includes(text) || action.label.toLowerCase().includes(text));
          if (rows.length > 0) return <ActionTable rows={rows} />;
          return (
            <Empty
              text={
                items.length > 0
                  ? `No action matches. ${items.length} exist without this filter.`
                  : "No actions yet. A pack brings actions."
              }
              command="attune pack new mine"
            />
          );
        }}
      </Loaded>
    </Page>
  );
}

function ActionTable({ rows }: { rows: Action[] }) {
  const columns: Column<Action>[] = [
    {
      id: "ref",
      head: "Action",
      cell: (action) => <Ref name={action.ref} to={`/actions/${action.ref}`} />,
      width: "24%",
    },
    {
      id: "label",
      head: "What it does",
      cell: (action) => (
        <span title={action.description ?? undefined}>
          {action.label !== action.ref && action.label} <span className="soft">{action.description}</span>
        </span>
      ),
      phone: "last",
    },
    {
      id: "runtime",
      head: "Runtime",
      cell: (action) => <span className="mono soft">{action.runtime_ref}</span>,
      width: "130px",
      phone: "off",
    },
    { id: "pool", head: "Pool", cell: (action) => action.pool, width: "100px", phone: "off" },
    {
      id: "state",
      head: "State",
      cell: (action) => (action.enabled ? "enabled" : <span className="tone-quiet">disabled</span>),
      width: "90px",
    },
  ];
  return (
    <Table
      name="Actions"
      columns={columns}
      rows={rows}
      rowKey={(action) => action.ref}
      to={(action) => `/actions/${action.ref}`}
    />
  );
}
