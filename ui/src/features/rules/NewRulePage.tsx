import { Page } from "../../kit/page";
import { useUrl } from "../../kit/url";
import { NeedsEditor } from "../definitions/NeedsEditor";
import { emptyRule } from "./draft";
import { RuleForm } from "./RuleForm";

export default function NewRulePage() {
  const [url] = useUrl();
  return (
    <Page title="New rule">
      <NeedsEditor what="Creating a rule">
        <RuleForm initial={emptyRule({ trigger: url.trigger, action: url.action })} />
      </NeedsEditor>
    </Page>
  );
}
