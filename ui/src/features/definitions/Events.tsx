import { queryOptions, useQuery } from "@tanstack/react-query";
import { LinkButton } from "../../kit/button";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { list } from "../../lib/http/client";
import { useLiveRefetch } from "../../lib/live";
import type { Event } from "../../lib/schema";

const latest = (trigger: string) =>
  queryOptions({
    queryKey: ["events", "list", { trigger_ref: trigger, limit: 20 }],
    queryFn: ({ signal }) => list<Event>("/api/v1/events", { query: { trigger_ref: trigger, limit: 20 }, signal }),
  });

/** The latest events of a trigger. */
export function Events({ trigger, command }: { trigger: string; command?: string }) {
  const options = latest(trigger);
  const query = useQuery(options);
  useLiveRefetch(options.queryKey, { kinds: ["event"], matches: (frame) => frame.trigger_ref === trigger });
  return (
    <div className="col">
      <h2>Latest events</h2>
      <Loaded query={query}>
        {({ data }) =>
          data.length === 0 ? (
            <Empty text="No event of this trigger is stored." {...(command ? { command } : {})} />
          ) : (
            <Rows rows={data} />
          )
        }
      </Loaded>
      <div>
        <LinkButton small to={`/events?trigger_ref=${trigger}`}>
          All events
        </LinkButton>
      </div>
    </div>
  );
}

function Rows({ rows }: { rows: Event[] }) {
  const columns: Column<Event>[] = [
    { id: "at", head: "Received", cell: (event) => <Time at={event.received_at} precision="ms" />, width: "170px" },
    { id: "source", head: "From", cell: (event) => event.source.replace("_", " "), width: "100px" },
    { id: "status", head: "State", cell: (event) => event.status, width: "110px" },
    {
      id: "payload",
      head: "Payload",
      cell: (event) => <span className="mono soft">{JSON.stringify(event.payload).slice(0, 200)}</span>,
      phone: "last",
    },
  ];
  return (
    <Table name="Events" columns={columns} rows={rows} rowKey={(event) => event.id} to={(event) => `/t/${event.id}`} />
  );
}
