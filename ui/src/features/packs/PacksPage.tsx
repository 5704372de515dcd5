import { useQuery } from "@tanstack/react-query";
import { Page } from "../../kit/page";
import { Ref } from "../../kit/ref";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { listOf } from "../definitions/api";
import { OnSwitch } from "../definitions/OnSwitch";
import type { Pack } from "./api";

export default function PacksPage() {
  const query = useQuery(listOf<Pack>("packs"));
  return (
    <Page title="Packs">
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty
              text="No packs yet. A pack is a folder of definitions and code."
              command="attune pack apply ./my-pack"
            />
          ) : (
            <PackTable rows={items} />
          )
        }
      </Loaded>
    </Page>
  );
}

function PackTable({ rows }: { rows: Pack[] }) {
  const columns: Column<Pack>[] = [
    { id: "ref", head: "Pack", cell: (pack) => <Ref name={pack.ref} to={`/packs/${pack.ref}`} />, width: "18%" },
    {
      id: "label",
      head: "Label",
      cell: (pack) => (
        <span>
          {pack.label !== pack.ref && pack.label} <span className="soft">{pack.description}</span>
        </span>
      ),
      phone: "last",
    },
    { id: "version", head: "Version", cell: (pack) => pack.version, width: "100px" },
    {
      id: "source",
      head: "Loaded from",
      cell: (pack) =>
        pack.has_code ? (
          <span title={pack.hash ?? undefined}>{pack.source ?? "files"}</span>
        ) : (
          <span className="soft">no files</span>
        ),
      width: "22%",
      phone: "off",
    },
    {
      id: "changed",
      head: "Changed",
      cell: (pack) => <Time at={pack.updated_at} show="relative" />,
      width: "150px",
      phone: "off",
    },
    {
      id: "on",
      head: <span className="hidden-text">Enabled</span>,
      cell: (pack) => <OnSwitch noun="packs" refName={pack.ref} on={pack.enabled} />,
      width: "72px",
      align: "right",
    },
  ];
  return (
    <Table name="Packs" columns={columns} rows={rows} rowKey={(pack) => pack.ref} to={(pack) => `/packs/${pack.ref}`} />
  );
}
