import { useInfiniteQuery } from "@tanstack/react-query";
import { Button } from "../../kit/button";
import { FilterBar, SelectFilter, sinceOptions, TextFilter } from "../../kit/filters";
import { Page } from "../../kit/page";
import { IdChip } from "../../kit/ref";
import { Empty, Loaded, ProblemView } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import { ProblemError } from "../../lib/http/problem";
import { useMay } from "../../lib/session";
import { SettingsTabs } from "../settings/SettingsTabs";
import { type AuditEntry, auditEntries } from "./api";

export default function AuditPage() {
  const { may, why } = useMay("admin");
  return (
    <Page title="Audit">
      <SettingsTabs here="/audit" />
      {may ? (
        <Entries />
      ) : (
        <ProblemView
          error={
            new ProblemError({
              type: "urn:attune:problem:forbidden",
              title: "Forbidden",
              status: 403,
              detail: why ?? "",
              errors: [],
            })
          }
        />
      )}
    </Page>
  );
}

function Entries() {
  const [url] = useUrl();
  const filters = { actor: url.actor, verb: url.verb, object: url.object, since: url.since };
  const query = useInfiniteQuery(auditEntries(filters));
  const filtered = Object.values(filters).some((value) => value !== undefined);
  return (
    <>
      <FilterBar clear={["actor", "verb", "object", "since"]}>
        <TextFilter param="actor" label="Who" width="140px" />
        <TextFilter param="verb" label="Verb" width="140px" />
        <TextFilter param="object" label="Object, such as rule acme.big" width="260px" />
        <SelectFilter param="since" label="Since" any="any time" options={sinceOptions} />
      </FilterBar>
      <Loaded query={query}>
        {({ pages }) => {
          const rows = pages.flatMap((page) => page.data);
          if (rows.length === 0)
            return <Empty text={filtered ? "No entry matches these filters." : "Nothing was changed yet."} />;
          return (
            <>
              <Rows rows={rows} />
              {query.hasNextPage && (
                <Button pending={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                  Load older entries
                </Button>
              )}
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function Rows({ rows }: { rows: AuditEntry[] }) {
  const [, setUrl] = useUrl();
  const columns: Column<AuditEntry>[] = [
    { id: "at", head: "When", cell: (row) => <Time at={row.at} />, width: "170px" },
    { id: "actor", head: "Who", cell: (row) => row.actor, width: "14%" },
    { id: "verb", head: "Did", cell: (row) => row.verb, width: "130px" },
    { id: "object", head: "To", cell: (row) => <span className="mono">{row.object}</span>, phone: "last" },
    {
      id: "from",
      head: "From",
      cell: (row) => <span className="mono soft">{row.address}</span>,
      width: "140px",
      phone: "off",
    },
    {
      id: "request",
      head: "Request",
      cell: (row) => row.request_id != null && <IdChip id={row.request_id} />,
      width: "130px",
      phone: "off",
    },
  ];
  return (
    <Table
      name="Audit"
      columns={columns}
      rows={rows}
      rowKey={(row) => String(row.id)}
      onOpen={(row) => setUrl({ object: row.object }, { push: true })}
    />
  );
}
