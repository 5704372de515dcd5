import { StateBadge } from "../../kit/glyph";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { bytes } from "../../lib/numbers";
import { requestMark } from "./marks";
import type { WebhookRequest } from "./model";

export function RequestTable({ rows }: { rows: WebhookRequest[] }) {
  const columns: Column<WebhookRequest>[] = [
    { id: "verdict", head: "Verdict", cell: (request) => <StateBadge mark={requestMark(request)} />, width: "130px" },
    { id: "at", head: "Received", cell: (request) => <Time at={request.received_at} />, width: "160px" },
    {
      id: "from",
      head: "Sender",
      cell: (request) => <span className="mono soft">{request.address}</span>,
      width: "150px",
      phone: "off",
    },
    {
      id: "size",
      head: "Size",
      cell: (request) => bytes(request.body_bytes),
      width: "80px",
      align: "right",
      phone: "off",
    },
    {
      id: "detail",
      head: "Detail",
      cell: (request) => <span className="soft">{request.detail ?? (request.body ?? "").slice(0, 160)}</span>,
      phone: "last",
    },
  ];
  return (
    <Table
      name="Requests"
      columns={columns}
      rows={rows}
      rowKey={(request) => request.id}
      to={(request) => `/webhooks/inbox/${request.id}`}
    />
  );
}
