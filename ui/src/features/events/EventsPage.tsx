import { useMemo, useState } from "react";
import { Button } from "../../kit/button";
import { CopyAs, pageLink } from "../../kit/copy";
import { curl } from "../../kit/curl";
import { FilterBar, SelectFilter, sinceOptions, TextFilter } from "../../kit/filters";
import { useFresh } from "../../kit/fresh";
import { Glyph, StateBadge } from "../../kit/glyph";
import { More } from "../../kit/more";
import { Page } from "../../kit/page";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import { useKeys } from "../../lib/keys";
import type { Event } from "../../lib/schema";
import { useMay } from "../../lib/session";
import { now, resolveSince, useZone } from "../../lib/time";
import { preview } from "../executions/model";
import { useEnforcementsSince, useEvents } from "./api";
import { eventMark, type Outcome, outcomes, sourceWords } from "./model";
import { SendEvent } from "./SendEvent";

const filterNames = ["trigger_ref", "source", "status", "since"] as const;

export default function EventsPage() {
  const [url] = useUrl();
  const zone = useZone();
  const [sending, setSending] = useState(false);
  const { why } = useMay("operator");
  const since = useMemo(() => resolveSince(url.since, now(), zone), [url.since, zone]);
  const query = useEvents({ trigger_ref: url.trigger_ref, source: url.source, status: url.status, since });
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.data), [query.data]);
  const fresh = useFresh({
    key: ["events", "list"],
    kinds: ["event", "enforcement.created"],
    idOf: (frame) => frame.event_id,
    fits: (frame) => frame.kind === "event.created" && (!url.trigger_ref || frame.trigger_ref === url.trigger_ref),
    shown: rows,
  });
  const columns = useColumns(rows);
  useKeys("Events", [{ keys: "n", text: "Send an event", run: () => !why && setSending(true) }]);

  return (
    <Page
      title="Events"
      actions={
        <>
          <Button why={why} onClick={() => setSending(true)}>
            Send an event
          </Button>
          <CopyAs
            forms={[
              { label: "Link", text: pageLink },
              { label: "curl", text: () => curl("GET", `/api/v1/events${window.location.search}`) },
              { label: "JSON", text: () => JSON.stringify(rows ?? [], null, 2) },
            ]}
          />
        </>
      }
    >
      <FilterBar clear={filterNames}>
        <TextFilter param="trigger_ref" label="trigger" />
        <SelectFilter
          param="source"
          label="Source"
          any="any source"
          options={Object.entries(sourceWords).map(([value, label]) => ({ value, label }))}
        />
        <SelectFilter
          param="status"
          label="Status"
          any="any status"
          options={(["pending", "decided", "quarantined"] as const).map((value) => ({
            value,
            label: eventMark(value).word,
          }))}
        />
        <SelectFilter param="since" label="Received" any="any time" options={sinceOptions} />
      </FilterBar>
      {fresh.count > 0 && (
        <button type="button" className="pill-new" onClick={fresh.show}>
          {fresh.count} new ↑
        </button>
      )}
      <Loaded query={query}>
        {() =>
          !rows || rows.length === 0 ? (
            <Empty
              text={
                filterNames.some((name) => url[name])
                  ? "No events match these filters."
                  : "No events yet. A timer, a webhook, a file or the API creates them."
              }
            />
          ) : (
            <>
              <Table
                name="Events"
                columns={columns}
                rows={rows}
                rowKey={(row) => row.id}
                to={(row) => `/t/${row.trace_id}`}
                busy={query.isFetching && !query.isFetchingNextPage}
              />
              <More query={query} what="events" />
            </>
          )
        }
      </Loaded>
      {sending && <SendEvent trigger={url.trigger_ref} onClose={() => setSending(false)} />}
    </Page>
  );
}

function useColumns(rows: Event[] | undefined): Column<Event>[] {
  const { data: enforcements } = useEnforcementsSince(rows?.at(-1)?.received_at);
  return useMemo(() => {
    const found = outcomes(enforcements?.items ?? []);
    const known = (row: Event) => !enforcements?.from || row.received_at >= enforcements.from;
    return [
      { id: "time", head: "Received", width: "160px", cell: (row) => <Time at={row.received_at} precision="ms" /> },
      { id: "trigger", head: "Trigger", width: "20%", cell: (row) => <span className="mono">{row.trigger_ref}</span> },
      {
        id: "source",
        head: "Source",
        width: "90px",
        phone: "off",
        cell: (row) => <span className="soft">{sourceWords[row.source]}</span>,
      },
      {
        id: "outcome",
        head: "Outcome",
        width: "210px",
        cell: (row) =>
          row.status === "decided" ? (
            <OutcomeCell outcome={found.get(row.id)} known={enforcements !== undefined && known(row)} />
          ) : (
            <StateBadge mark={eventMark(row.status)} />
          ),
      },
      {
        id: "payload",
        head: "Payload",
        phone: "last",
        cell: (row) => <span className="mono soft">{preview(row.payload, 5)}</span>,
      },
    ];
  }, [enforcements]);
}

function OutcomeCell({ outcome, known }: { outcome: Outcome | undefined; known: boolean }) {
  if (!outcome) return <span className="soft">{known ? "no rule matched" : "evaluated"}</span>;
  const { matched, failed, limited } = outcome;
  return (
    <span className="row">
      {matched > 0 && (
        <span className="row">
          <Glyph name="done" tone="ok" /> {matched} {matched === 1 ? "rule" : "rules"}
        </span>
      )}
      {failed > 0 && (
        <span className="row tone-lost">
          <Glyph name="lost" tone="lost" /> {failed} failed
        </span>
      )}
      {limited > 0 && (
        <span className="row tone-late">
          <Glyph name="skipped" tone="late" /> {limited} limited
        </span>
      )}
    </span>
  );
}
