import { useQuery } from "@tanstack/react-query";
import { Navigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { JsonView } from "../../kit/json";
import { Page } from "../../kit/page";
import { Banner, Loaded } from "../../kit/states";
import { urlOf } from "../../lib/http/client";
import { useMay } from "../../lib/session";
import { DeleteDialog, useOpen } from "../definitions/actions";
import { oneOf } from "../definitions/api";
import { Events } from "../definitions/Events";
import { useFireNow } from "../definitions/fire";
import { JsonField } from "../definitions/JsonField";
import { OnSwitch } from "../definitions/OnSwitch";
import { UsedBy } from "../definitions/UsedBy";
import { copyForms } from "../definitions/words";
import type { Trigger } from "./api";
import { KIND_WORDS, pageOf } from "./model";

export default function TriggerPage() {
  const { ref = "" } = useParams({ strict: false }) as { ref?: string };
  const query = useQuery(oneOf<Trigger>("triggers", ref));
  return (
    <Loaded query={query} notFound={`No trigger has the ref ${ref}.`}>
      {(trigger) => {
        const page = pageOf(trigger);
        return page.startsWith("/triggers/") ? <Detail key={ref} trigger={trigger} /> : <Navigate to={page} replace />;
      }}
    </Loaded>
  );
}

function Detail({ trigger }: { trigger: Trigger }) {
  const { why } = useMay("editor");
  const removal = useOpen();
  const command = `curl -sS -H "Authorization: Bearer $ATTUNE_API_TOKEN" -H 'Content-Type: application/json' -d '{"trigger_ref": "${trigger.ref}", "payload": {}}' ${urlOf("/api/v1/events")}`;
  return (
    <Page
      title={trigger.ref}
      heading={<span className="mono-title">{trigger.ref}</span>}
      aside={
        <span className="soft">
          {KIND_WORDS[trigger.kind].label}
          {trigger.label !== trigger.ref && `, ${trigger.label}`}
        </span>
      }
      actions={
        <>
          <OnSwitch noun="triggers" refName={trigger.ref} on={trigger.enabled} words />
          <CopyAs forms={[...copyForms("triggers", trigger), { label: "curl that creates an event", text: command }]} />
          <Button look="danger" onClick={removal.show} why={why}>
            Delete
          </Button>
        </>
      }
    >
      {trigger.description != null && <p className="soft">{trigger.description}</p>}
      {trigger.last_error != null && <Banner tone="bad">{trigger.last_error}</Banner>}
      <div className="two">
        <Fire trigger={trigger} />
        <section className="card pad col">
          <h2>Schema of the payload</h2>
          {trigger.payload_schema == null ? (
            <p className="soft">Not described.</p>
          ) : (
            <JsonView value={trigger.payload_schema} name="The schema" />
          )}
        </section>
      </div>
      {trigger.kind !== "custom" && (
        <section className="card pad col">
          <h2>Settings</h2>
          <JsonView value={trigger.config} name="The settings" />
        </section>
      )}
      <UsedBy trigger={trigger.ref} />
      <Events trigger={trigger.ref} command={command} />
      <DeleteDialog noun="triggers" refName={trigger.ref} open={removal.open} onClose={removal.hide} then="/triggers">
        The trigger is removed and receives no more events. Its events stay for as long as events are kept. A trigger
        that rules use cannot be deleted.
      </DeleteDialog>
    </Page>
  );
}

function Fire({ trigger }: { trigger: Trigger }) {
  const [payload, setPayload] = useState<unknown>({});
  const fire = useFireNow();
  const { why } = useMay("operator");
  return (
    <section className="card pad col loose">
      <h2>Create an event</h2>
      <JsonField
        label="Payload"
        value={{}}
        onChange={setPayload}
        hint="JSON. The rules of this trigger are evaluated and may start executions."
      />
      <span>
        <Button
          onClick={() => fire(trigger.ref, payload)}
          why={why ?? (trigger.enabled ? undefined : "The trigger is disabled.")}
        >
          Fire with this payload
        </Button>
      </span>
    </section>
  );
}
