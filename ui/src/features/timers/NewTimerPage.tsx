import { Page } from "../../kit/page";
import { useUrl } from "../../kit/url";
import { browserZone } from "../../lib/time";
import { NeedsEditor } from "../definitions/NeedsEditor";
import { emptyDraft, type TimerKind } from "./model";
import { TimerForm } from "./TimerForm";

export default function NewTimerPage() {
  const [url] = useUrl();
  const initial = emptyDraft(browserZone());
  if (url.kind === "cron" || url.kind === "one_shot") initial.kind = url.kind as TimerKind;
  return (
    <Page title="New timer">
      <NeedsEditor what="Creating a timer">
        <TimerForm initial={initial} />
      </NeedsEditor>
    </Page>
  );
}
