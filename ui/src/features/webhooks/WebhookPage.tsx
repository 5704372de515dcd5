import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";
import { Button, LinkButton } from "../../kit/button";
import { CopyAs, copyText } from "../../kit/copy";
import { KeyHint } from "../../kit/keyhint";
import { Page } from "../../kit/page";
import { fieldErrors } from "../../kit/problems";
import { Banner, Empty, Loaded } from "../../kit/states";
import { Tabs } from "../../kit/tabs";
import { toast } from "../../kit/toast";
import { put } from "../../lib/http/client";
import { useLiveRefetch } from "../../lib/live";
import { useMay } from "../../lib/session";
import { DeleteDialog, useOpen } from "../definitions/actions";
import { forEditing, oneOf, useRefresh } from "../definitions/api";
import { Form, FormErrors, TextField } from "../definitions/form";
import { NeedsEditor } from "../definitions/NeedsEditor";
import { OnSwitch } from "../definitions/OnSwitch";
import { UsedBy } from "../definitions/UsedBy";
import { copyForms } from "../definitions/words";
import { requests } from "./api";
import { draftOfWebhook, profileLabel, type WebhookDraft, type WebhookTrigger, webhookConfig } from "./model";
import { RequestTable } from "./RequestTable";
import { Secrets } from "./Secrets";
import { FIELDS, WebhookFields } from "./WebhookFields";

export default function WebhookPage() {
  const { ref = "" } = useParams({ strict: false }) as { ref?: string };
  const query = useQuery(oneOf<WebhookTrigger>("triggers", ref));
  return (
    <Loaded query={query} notFound={`No webhook has the ref ${ref}.`}>
      {(trigger) => <Detail key={ref} trigger={trigger} />}
    </Loaded>
  );
}

function Detail({ trigger }: { trigger: WebhookTrigger }) {
  const { may, why } = useMay("editor");
  const removal = useOpen();
  return (
    <Page
      title={trigger.ref}
      heading={<span className="mono-title">{trigger.ref}</span>}
      aside={<span className="soft">{profileLabel(trigger.config.verify)}</span>}
      actions={
        <>
          <OnSwitch noun="triggers" refName={trigger.ref} on={trigger.enabled} words />
          <CopyAs forms={copyForms("triggers", trigger)} />
          <Button look="danger" onClick={removal.show} why={why}>
            Delete
          </Button>
        </>
      }
    >
      {trigger.last_error != null && <Banner tone="bad">{trigger.last_error}</Banner>}
      <Tabs
        tabs={[
          { id: "address", label: "Address", content: () => <Address trigger={trigger} /> },
          ...(may ? [{ id: "inbox", label: "Inbox", content: () => <Inbox refName={trigger.ref} /> }] : []),
          { id: "settings", label: "Settings", content: () => <Settings refName={trigger.ref} /> },
          ...(may ? [{ id: "secrets", label: "Secrets", content: () => <Secrets trigger={trigger} /> }] : []),
        ]}
      />
      <DeleteDialog noun="triggers" refName={trigger.ref} open={removal.open} onClose={removal.hide} then="/webhooks">
        The address stops working at once; senders get 404. Its events stay for as long as events are kept. A webhook
        that rules use cannot be deleted.
      </DeleteDialog>
    </Page>
  );
}

function Address({ trigger }: { trigger: WebhookTrigger }) {
  const url = trigger.webhook_url;
  return (
    <div className="col loose" style={{ paddingTop: 12 }}>
      <section className="card pad col">
        <h2>Address</h2>
        {url == null ? (
          <p className="soft">The address is shown to operators, editors and admins.</p>
        ) : (
          <>
            <p className="secret mono">{url}</p>
            <span className="row wrap">
              <Button onClick={() => copyText(url, "The address")}>Copy the address</Button>
              {trigger.config.verify === "none" && (
                <Button
                  onClick={() =>
                    copyText(`curl -sS -H 'Content-Type: application/json' -d '{}' '${url}'`, "The command")
                  }
                >
                  Copy a curl command
                </Button>
              )}
              <span className="meta">Whoever knows it can send requests. It is a secret.</span>
            </span>
          </>
        )}
      </section>
      <UsedBy trigger={trigger.ref} />
    </div>
  );
}

function Inbox({ refName }: { refName: string }) {
  const options = requests({ trigger_ref: refName });
  const query = useInfiniteQuery(options);
  useLiveRefetch(options.queryKey, {
    kinds: ["webhook", "event.created"],
    matches: (frame) => frame.trigger_ref === refName,
  });
  return (
    <div className="col" style={{ paddingTop: 12 }}>
      <Loaded query={query}>
        {({ pages }) => {
          const rows = pages.flatMap((page) => page.data);
          return rows.length === 0 ? <Empty text="No requests yet." /> : <RequestTable rows={rows} />;
        }}
      </Loaded>
      <div>
        <LinkButton small to={`/webhooks/inbox?trigger_ref=${refName}`}>
          Open the inbox
        </LinkButton>
      </div>
    </div>
  );
}

function Settings({ refName }: { refName: string }) {
  const query = useQuery(forEditing<WebhookTrigger>("triggers", refName));
  return (
    <div style={{ paddingTop: 12 }}>
      <NeedsEditor what="Changing a webhook">
        <Loaded query={query}>{({ data, etag }) => <SettingsForm key={etag} trigger={data} etag={etag} />}</Loaded>
      </NeedsEditor>
    </div>
  );
}

function SettingsForm({ trigger, etag }: { trigger: WebhookTrigger; etag: string | undefined }) {
  const [draft, setDraft] = useState<WebhookDraft>(() => draftOfWebhook(trigger));
  const refresh = useRefresh();
  const save = useMutation({
    mutationFn: () => {
      const { enabled, description, payload_schema } = trigger;
      const body = {
        kind: "webhook",
        label: draft.label || null,
        description,
        enabled,
        payload_schema,
        config: webhookConfig(draft),
      };
      return put<WebhookTrigger>(`/api/v1/triggers/${trigger.ref}`, body, { ifMatch: etag });
    },
    onSuccess: ({ warnings }) => {
      refresh("triggers");
      toast(`${trigger.ref} was saved.`, { tone: "ok" });
      for (const warning of warnings ?? []) toast(warning);
    },
  });
  const set = (change: Partial<WebhookDraft>) => {
    if (save.error) save.reset();
    setDraft((now) => ({ ...now, ...change }));
  };
  const { at, rest } = fieldErrors(save.error, FIELDS);
  const { why } = useMay("editor");
  const unconfirmed =
    draft.verify === "none" && !draft.openAccepted ? "Confirm that anyone who knows the URL can call it." : undefined;
  return (
    <Form onSave={() => unconfirmed === undefined && save.mutate()} error={save.error} className="card pad col loose">
      <FormErrors errors={rest} />
      <TextField label="Label" value={draft.label} onChange={(label) => set({ label })} error={at.label} />
      <WebhookFields draft={draft} set={set} at={at} />
      <span>
        <Button look="primary" type="submit" pending={save.isPending} why={why ?? unconfirmed}>
          Save <KeyHint keys="mod+Enter" />
        </Button>
      </span>
    </Form>
  );
}
