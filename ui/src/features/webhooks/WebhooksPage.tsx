import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Button, LinkButton } from "../../kit/button";
import { FilterBar, TextFilter } from "../../kit/filters";
import { StateBadge } from "../../kit/glyph";
import { Page } from "../../kit/page";
import { Ref } from "../../kit/ref";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import { useLiveRefetch } from "../../lib/live";
import { useMay } from "../../lib/session";
import { useOpen } from "../definitions/actions";
import { listOf } from "../definitions/api";
import { OnSwitch } from "../definitions/OnSwitch";
import { requests } from "./api";
import { requestMark } from "./marks";
import { profileLabel, type WebhookRequest, type WebhookTrigger } from "./model";
import { NewWebhookDialog } from "./NewWebhookDialog";

export default function WebhooksPage() {
  const [url] = useUrl();
  const query = useQuery(listOf<WebhookTrigger>("triggers", { kind: "webhook" }));
  const { may } = useMay("editor");
  const dialog = useOpen();
  const text = (url.q ?? "").toLowerCase();
  const action = (
    <Button look="primary" onClick={dialog.show}>
      New webhook
    </Button>
  );
  return (
    <Page
      title="Webhooks"
      actions={
        may && (
          <>
            <LinkButton to="/webhooks/inbox">Inbox</LinkButton>
            {action}
          </>
        )
      }
    >
      <Loaded query={query}>
        {({ items }) => {
          if (items.length === 0)
            return (
              <Empty text="No webhooks yet. A webhook has an address that other systems call." action={may && action} />
            );
          const rows = items.filter(
            (trigger) => trigger.ref.includes(text) || trigger.label.toLowerCase().includes(text),
          );
          return (
            <>
              <FilterBar clear={["q"]}>
                <TextFilter param="q" label="Filter by ref or label" width="220px" />
              </FilterBar>
              {rows.length === 0 ? (
                <Empty text={`No webhook matches. ${items.length} exist without this filter.`} />
              ) : (
                <WebhookTable rows={rows} inbox={may} />
              )}
            </>
          );
        }}
      </Loaded>
      <NewWebhookDialog open={dialog.open} onClose={dialog.hide} />
    </Page>
  );
}

function WebhookTable({ rows, inbox }: { rows: WebhookTrigger[]; inbox: boolean }) {
  // The newest requests of all webhooks give the last one of each, with one request.
  const options = requests({});
  const latest = useInfiniteQuery({ ...options, enabled: inbox });
  useLiveRefetch(options.queryKey, { kinds: ["webhook", "event.created"] });
  const newest = new Map<string, WebhookRequest>();
  for (const request of latest.data?.pages.flatMap((page) => page.data) ?? []) {
    if (!newest.has(request.trigger_ref)) newest.set(request.trigger_ref, request);
  }
  const columns: Column<WebhookTrigger>[] = [
    {
      id: "ref",
      head: "Webhook",
      cell: (trigger) => <Ref name={trigger.ref} to={`/webhooks/${trigger.ref}`} />,
      width: "26%",
    },
    {
      id: "verify",
      head: "Verification",
      cell: (trigger) =>
        trigger.config.verify === "none" ? (
          <span className="tone-late">none: anyone with the URL</span>
        ) : (
          profileLabel(trigger.config.verify)
        ),
      width: "22%",
    },
    {
      id: "request",
      head: inbox ? "Last request" : "Last event",
      cell: (trigger) =>
        inbox ? <LastRequest request={newest.get(trigger.ref)} /> : <Time at={trigger.last_fired_at} show="relative" />,
      phone: "last",
    },
    {
      id: "on",
      head: <span className="hidden-text">Enabled</span>,
      cell: (trigger) => <OnSwitch noun="triggers" refName={trigger.ref} on={trigger.enabled} />,
      width: "72px",
      align: "right",
    },
  ];
  return (
    <Table
      name="Webhooks"
      columns={columns}
      rows={rows}
      rowKey={(trigger) => trigger.ref}
      to={(trigger) => `/webhooks/${trigger.ref}`}
    />
  );
}

function LastRequest({ request }: { request: WebhookRequest | undefined }) {
  if (!request) return <span className="tone-quiet">none among the latest</span>;
  return (
    <span className="row">
      <StateBadge mark={requestMark(request)} />
      <Time at={request.received_at} show="relative" />
      {request.detail != null && <span className="soft cut">{request.detail}</span>}
    </span>
  );
}
