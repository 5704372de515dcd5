import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Button } from "../../kit/button";
import { FilterBar, SelectFilter, TextFilter } from "../../kit/filters";
import { Glyph } from "../../kit/glyph";
import { Page } from "../../kit/page";
import { Empty, Loaded, ProblemView } from "../../kit/states";
import { Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import { ProblemError } from "../../lib/http/problem";
import { useLiveRefetch } from "../../lib/live";
import { useMay } from "../../lib/session";
import { requestOf, requests } from "./api";
import { requestMark } from "./marks";
import { VERDICTS, type WebhookRequest } from "./model";
import { Processing, RawRequest } from "./RequestPanes";

export default function InboxPage() {
  const { may, why } = useMay("editor");
  return (
    <Page title="Webhook inbox">
      {may ? (
        <Inbox />
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

function Inbox() {
  const [url] = useUrl();
  const { id } = useParams({ strict: false }) as { id?: string };
  const options = requests({ trigger_ref: url.trigger_ref, verdict: url.verdict });
  const query = useInfiniteQuery(options);
  useLiveRefetch(options.queryKey, { kinds: ["webhook", "event.created"] });
  return (
    <>
      <FilterBar clear={["trigger_ref", "verdict"]}>
        <TextFilter param="trigger_ref" label="Webhook" width="220px" />
        <SelectFilter
          param="verdict"
          label="Verdict"
          any="any verdict"
          options={VERDICTS.map((value) => ({ value, label: value }))}
        />
      </FilterBar>
      <Loaded query={query}>
        {({ pages }) => {
          const rows = pages.flatMap((page) => page.data);
          if (rows.length === 0)
            return (
              <Empty
                text={
                  url.trigger_ref || url.verdict
                    ? "No request matches these filters."
                    : "No requests yet. Requests that call a webhook appear here, also rejected ones."
                }
              />
            );
          return (
            <Panes rows={rows} chosen={id} more={query.hasNextPage ? () => void query.fetchNextPage() : undefined} />
          );
        }}
      </Loaded>
    </>
  );
}

function Panes({
  rows,
  chosen,
  more,
}: {
  rows: WebhookRequest[];
  chosen: string | undefined;
  more: (() => void) | undefined;
}) {
  const listed = rows.find((request) => request.id === chosen);
  const other = useQuery({ ...requestOf(chosen ?? ""), enabled: chosen !== undefined && listed === undefined });
  const shown = listed ?? other.data ?? (chosen === undefined ? rows[0] : undefined);
  return (
    <div className="panes">
      <MailList rows={rows} shown={shown?.id} more={more} />
      {shown !== undefined && <RawRequest key={shown.id} request={shown} />}
      {shown !== undefined && <Processing key={`p${shown.id}`} request={shown} />}
      {shown === undefined && other.error != null && (
        <ProblemView
          error={other.error}
          notFound="This request does not exist. It may have been removed: the inbox keeps the newest 1,000 requests of a webhook for 7 days."
        />
      )}
    </div>
  );
}

function MailList({
  rows,
  shown,
  more,
}: {
  rows: WebhookRequest[];
  shown: string | undefined;
  more: (() => void) | undefined;
}) {
  const navigate = useNavigate();
  return (
    <nav className="card mails" aria-label="Requests">
      {rows.map((request) => (
        <button
          key={request.id}
          type="button"
          aria-current={request.id === shown}
          onClick={() =>
            void navigate({ to: `/webhooks/inbox/${request.id}`, search: ((now: object) => now) as never })
          }
        >
          <Glyph name={requestMark(request).glyph} tone={requestMark(request).tone} />
          <span className="mono cut">{request.trigger_ref}</span>
          <Time at={request.received_at} />
          <span className="under meta cut">
            {requestMark(request).word}
            {request.detail != null && `: ${request.detail}`}
          </span>
        </button>
      ))}
      {more && (
        <Button look="plain" onClick={more}>
          Load older requests
        </Button>
      )}
    </nav>
  );
}
