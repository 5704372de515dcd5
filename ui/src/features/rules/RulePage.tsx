import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Button, LinkButton } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Glyph } from "../../kit/glyph";
import { JsonView } from "../../kit/json";
import { Page } from "../../kit/page";
import { Ref } from "../../kit/ref";
import { Loaded } from "../../kit/states";
import { Tabs } from "../../kit/tabs";
import { Time } from "../../kit/time";
import { useMay } from "../../lib/session";
import { DeleteDialog, useOpen } from "../definitions/actions";
import { oneOf } from "../definitions/api";
import { OnSwitch } from "../definitions/OnSwitch";
import { Runs } from "../definitions/Runs";
import { copyForms } from "../definitions/words";
import { YamlTab } from "../definitions/YamlTab";
import type { Rule } from "./api";
import { RuleSentence } from "./RulesPage";
import { Verdicts } from "./Verdicts";
import { limitWords } from "./words";

export default function RulePage() {
  const { ref = "" } = useParams({ strict: false }) as { ref?: string };
  const query = useQuery(oneOf<Rule>("rules", ref));
  return (
    <Loaded query={query} notFound={`No rule has the ref ${ref}.`}>
      {(rule) => <Detail rule={rule} />}
    </Loaded>
  );
}

function Detail({ rule }: { rule: Rule }) {
  const { may, why } = useMay("editor");
  const removal = useOpen();
  return (
    <Page
      title={`${rule.enabled ? "" : "disabled · "}${rule.ref}`}
      heading={<span className="mono-title">{rule.ref}</span>}
      aside={rule.label !== rule.ref && <span className="soft">{rule.label}</span>}
      actions={
        <>
          <OnSwitch noun="rules" refName={rule.ref} on={rule.enabled} words />
          {may && <LinkButton to={`/rules/${rule.ref}/edit?panel=test`}>Test</LinkButton>}
          {may && <LinkButton to={`/rules/${rule.ref}/edit`}>Edit</LinkButton>}
          <CopyAs forms={copyForms("rules", rule)} />
          <Button look="danger" onClick={removal.show} why={why}>
            Delete
          </Button>
        </>
      }
    >
      <p>
        <RuleSentence rule={rule} links />
      </p>
      <Tabs
        tabs={[
          { id: "overview", label: "Overview", content: () => <Overview rule={rule} /> },
          { id: "verdicts", label: "Verdicts", content: () => <Verdicts rule={rule} /> },
          {
            id: "runs",
            label: "Executions",
            content: () => <Runs filter={{ rule_ref: rule.ref }} empty="This rule has not started an execution yet." />,
          },
          { id: "yaml", label: "YAML", content: () => <YamlTab definition={rule} /> },
        ]}
      />
      <DeleteDialog noun="rules" refName={rule.ref} open={removal.open} onClose={removal.hide} then="/rules">
        The rule is removed. Executions that it started continue, and their history is kept.
      </DeleteDialog>
    </Page>
  );
}

function Overview({ rule }: { rule: Rule }) {
  const limits = limitWords(rule);
  return (
    <div className="two" style={{ paddingTop: 12 }}>
      <section className="card pad col">
        <h2>Definition</h2>
        <dl className="facts">
          <dt>Trigger</dt>
          <dd>
            <Ref name={rule.trigger_ref} to={`/go/${rule.trigger_ref}`} />
          </dd>
          <dt>Action</dt>
          <dd>
            <Ref name={rule.action_ref} to={`/actions/${rule.action_ref}`} />
          </dd>
          <dt>Limits</dt>
          <dd>{limits.length === 0 ? "none" : limits.join("; ")}</dd>
          <dt>Pack</dt>
          <dd>
            <Ref name={rule.pack_ref} to={`/packs/${rule.pack_ref}`} />
            {rule.managed && <span className="soft"> (from its files)</span>}
          </dd>
          <dt>Changed</dt>
          <dd>
            <Time at={rule.updated_at} show="both" />
          </dd>
        </dl>
        {rule.description != null && <p className="soft">{rule.description}</p>}
      </section>
      <section className="card pad col">
        <h2>Parameters</h2>
        <JsonView value={rule.action_params ?? {}} name="The parameters" />
        {rule.condition == null && (
          <p className="meta row">
            <Glyph name="dot" tone="quiet" size={12} /> No condition: it applies to every event of the trigger.
          </p>
        )}
      </section>
    </div>
  );
}
