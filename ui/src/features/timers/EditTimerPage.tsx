import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Page } from "../../kit/page";
import { Loaded } from "../../kit/states";
import type { Schema } from "../../lib/schema";
import { browserZone } from "../../lib/time";
import { forEditing } from "../definitions/api";
import { NeedsEditor } from "../definitions/NeedsEditor";
import { draftOf } from "./model";
import { TimerForm } from "./TimerForm";

export default function EditTimerPage() {
  const { ref = "" } = useParams({ strict: false }) as { ref?: string };
  const query = useQuery(forEditing<Schema<"TimerTriggerView">>("triggers", ref));
  return (
    <Page title={`Edit ${ref}`}>
      <NeedsEditor what="Editing a timer">
        <Loaded query={query} notFound={`No timer has the ref ${ref}.`}>
          {({ data, etag }) => {
            const label = data.label === data.ref ? "" : data.label;
            const initial = { ...draftOf(data.config, browserZone()), ref, label, description: data.description ?? "" };
            return <TimerForm key={etag ?? ref} initial={initial} stored={data} etag={etag} />;
          }}
        </Loaded>
      </NeedsEditor>
    </Page>
  );
}
