import { useQuery } from "@tanstack/react-query";
import { LinkButton } from "../../kit/button";
import { FilterBar, SelectFilter, TextFilter } from "../../kit/filters";
import { Page } from "../../kit/page";
import { Ref } from "../../kit/ref";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { useUrl } from "../../kit/url";
import { useMay } from "../../lib/session";
import { listOf } from "../definitions/api";
import { OnSwitch } from "../definitions/OnSwitch";
import type { Rule } from "./api";
import { conditionWords, limitWords } from "./words";

export default function RulesPage() {
  const [url] = useUrl();
  const filters = { trigger_ref: url.trigger_ref, action_ref: url.action_ref, enabled: url.enabled };
  const query = useQuery(listOf<Rule>("rules", filters));
  const { may } = useMay("editor");
  const action = (
    <LinkButton to="/rules/new" look="primary">
      New rule
    </LinkButton>
  );
  return (
    <Page title="Rules" actions={may && action}>
      <FilterBar clear={["q", "trigger_ref", "action_ref", "enabled"]}>
        <TextFilter param="q" label="Filter by ref or label" width="220px" />
        <TextFilter param="trigger_ref" label="Trigger" />
        <TextFilter param="action_ref" label="Action" />
        <SelectFilter
          param="enabled"
          label="Enabled"
          any="enabled or not"
          options={[
            { value: "true", label: "enabled" },
            { value: "false", label: "disabled" },
          ]}
        />
      </FilterBar>
      <Loaded query={query}>
        {({ items }) => {
          const text = (url.q ?? "").toLowerCase();
          const rows = items.filter((rule) => rule.ref.includes(text) || rule.label.toLowerCase().includes(text));
          const filtered = text !== "" || Object.values(filters).some((value) => value !== undefined);
          if (rows.length > 0) return <RuleTable rows={rows} />;
          if (filtered) return <Empty text="No rule matches these filters." />;
          return <Empty text="No rules yet. A rule defines what runs when something happens." action={may && action} />;
        }}
      </Loaded>
    </Page>
  );
}

function RuleTable({ rows }: { rows: Rule[] }) {
  const columns: Column<Rule>[] = [
    { id: "ref", head: "Rule", cell: (rule) => <Ref name={rule.ref} to={`/rules/${rule.ref}`} />, width: "20%" },
    { id: "sentence", head: "What it does", cell: (rule) => <RuleSentence rule={rule} />, phone: "last" },
    {
      id: "limits",
      head: "Limits",
      cell: (rule) => <span className="soft">{limitWords(rule).join("; ")}</span>,
      width: "22%",
      phone: "off",
    },
    {
      id: "on",
      head: <span className="hidden-text">Enabled</span>,
      cell: (rule) => <OnSwitch noun="rules" refName={rule.ref} on={rule.enabled} />,
      width: "72px",
      align: "right",
    },
  ];
  return (
    <Table name="Rules" columns={columns} rows={rows} rowKey={(rule) => rule.ref} to={(rule) => `/rules/${rule.ref}`} />
  );
}

/** When … and … run …: the rule in one sentence. */
export function RuleSentence({ rule, links }: { rule: Rule; links?: boolean }) {
  const condition = conditionWords(rule.condition);
  return (
    <span className={links ? undefined : "cut"}>
      <span className="soft">when</span>{" "}
      <Ref name={rule.trigger_ref} to={links ? `/go/${rule.trigger_ref}` : undefined} />
      {condition !== undefined && (
        <>
          {" "}
          <span className="soft">and</span> {condition}
        </>
      )}{" "}
      <span className="soft">run</span>{" "}
      <Ref name={rule.action_ref} to={links ? `/actions/${rule.action_ref}` : undefined} />
    </span>
  );
}
