import { useNavigate } from "@tanstack/react-router";
import { Button, LinkButton } from "../../kit/button";
import { copyText } from "../../kit/copy";
import { ConfirmDanger } from "../../kit/dialog";
import { Choice } from "../../kit/form";
import { Glyph, StateBadge } from "../../kit/glyph";
import { JsonView } from "../../kit/json";
import { Ref } from "../../kit/ref";
import { Time } from "../../kit/time";
import { toast } from "../../kit/toast";
import { useUrl } from "../../kit/url";
import { asProblem } from "../../lib/http/problem";
import { useKeys } from "../../lib/keys";
import { bytes } from "../../lib/numbers";
import { useOpen } from "../definitions/actions";
import { useRedeliver } from "./api";
import { requestMark } from "./marks";
import { bodyOfRequest, curlOf, hexOf, isSignature, stepsOf, type WebhookRequest } from "./model";

const VIEWS = [
  { value: "pretty", label: "pretty" },
  { value: "raw", label: "raw" },
  { value: "hex", label: "hex" },
] as const;

export function RawRequest({ request }: { request: WebhookRequest }) {
  const headers = Object.entries((request.headers ?? {}) as Record<string, unknown>);
  return (
    <section className="card" aria-label="Request">
      <header>
        <h2 className="cut">
          {request.method} <span className="soft mono">{request.query ? `?${request.query}` : ""}</span>
        </h2>
        <span className="meta push">
          {request.address} · {bytes(request.body_bytes)}
        </span>
      </header>
      <div className="col loose" style={{ padding: 16 }}>
        <dl className="facts">
          {headers.map(([name, value]) => (
            <div key={name} style={{ display: "contents" }}>
              <dt className="mono">{name}</dt>
              <dd className="mono">
                {Array.isArray(value) ? value.join(", ") : String(value)}{" "}
                {isSignature(name) && <span className="tag">signature</span>}
              </dd>
            </div>
          ))}
        </dl>
        <Body request={request} />
      </div>
    </section>
  );
}

function Body({ request }: { request: WebhookRequest }) {
  const [url, setUrl] = useUrl();
  const view = (url.body as "pretty" | "raw" | "hex" | undefined) ?? "pretty";
  const next = { pretty: "raw", raw: "hex", hex: undefined }[view];
  useKeys("Request", [{ keys: "b", text: "Next view of the body", run: () => setUrl({ body: next }) }]);
  const body = bodyOfRequest(request);
  if (body.kind === "none") return <p className="soft">The body is empty.</p>;
  const raw = body.kind === "bytes" ? atob(body.base64) : body.text;
  const encoded =
    body.kind === "bytes" ? Uint8Array.from(raw, (letter) => letter.charCodeAt(0)) : new TextEncoder().encode(raw);
  const asHex = view === "hex" || body.kind === "bytes";
  return (
    <div className="col">
      <span className="row wrap">
        <Choice
          label="View of the body"
          value={view}
          options={VIEWS}
          onChange={(value) => setUrl({ body: value === "pretty" ? undefined : value })}
        />
        {request.body_cut && (
          <span className="tone-late">Only the beginning is stored; it had {bytes(request.body_bytes)}.</span>
        )}
      </span>
      {asHex ? (
        <pre className="code secret">{hexOf(encoded)}</pre>
      ) : view === "pretty" && body.kind === "json" ? (
        <JsonView value={body.value} name="The body" />
      ) : (
        <pre className="code secret">{raw}</pre>
      )}
    </div>
  );
}

export function Processing({ request }: { request: WebhookRequest }) {
  const redeliver = useRedeliver();
  const navigate = useNavigate();
  const confirm = useOpen();
  const rejected = request.verdict === "rejected";
  const run = () =>
    redeliver.mutate(request.id, {
      onSuccess: (event) => {
        confirm.hide();
        void navigate({ to: `/t/${event.trace_id}` });
      },
      onError: (error) => {
        confirm.hide();
        toast(`The request was not processed: ${asProblem(error).problem.detail}`, { tone: "bad" });
      },
    });
  const again = rejected ? confirm.show : run;
  const why = request.body_cut ? "The stored body is cut, so it cannot be processed again." : undefined;
  useKeys("Request", why === undefined ? [{ keys: "r", text: "Process the request again", run: again }] : []);
  return (
    <section className="card" aria-label="Processing">
      <header>
        <h2>Processing</h2>
        <span className="push" />
        <StateBadge mark={requestMark(request)} />
      </header>
      <div className="col loose" style={{ padding: 16 }}>
        <p className="soft">
          <Time at={request.received_at} precision="ms" show="both" /> for{" "}
          <Ref name={request.trigger_ref} to={`/webhooks/${request.trigger_ref}`} />
        </p>
        <ul className="col">
          {stepsOf(request).map((step) => (
            <li key={step.text} className="row" style={{ alignItems: "flex-start" }}>
              <Glyph
                name={step.ok ? "done" : "failed"}
                tone={step.ok ? "ok" : "bad"}
                label={step.ok ? "passed" : "failed"}
              />
              <span>{step.text}</span>
            </li>
          ))}
          <li className="row">
            <Glyph name="dot" tone="quiet" />
            {request.event_id == null ? (
              "No event was created."
            ) : (
              <LinkButton small to={`/t/${request.event_id}`}>
                Trace of the event
              </LinkButton>
            )}
          </li>
        </ul>
        <span className="row wrap">
          <Button onClick={again} pending={redeliver.isPending} why={why}>
            {rejected ? "Accept anyway …" : "Redeliver"}
          </Button>
          <Button onClick={() => copyText(curlOf(request), "The command")}>Copy as curl</Button>
        </span>
      </div>
      <ConfirmDanger
        open={confirm.open}
        onClose={confirm.hide}
        title="Accept this request?"
        verb="Accept it"
        onConfirm={run}
        pending={redeliver.isPending}
      >
        The request was not verified: {request.detail ?? request.reason}. Accepting it creates an event, and rules may
        start executions. Anyone could have sent it.
      </ConfirmDanger>
    </section>
  );
}
