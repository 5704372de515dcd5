import { useQuery } from "@tanstack/react-query";
import { Button } from "../../kit/button";
import { FilterBar, SelectFilter, TextFilter } from "../../kit/filters";
import { Page } from "../../kit/page";
import { Ref } from "../../kit/ref";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import { useMay } from "../../lib/session";
import { useOpen } from "../definitions/actions";
import { listOf } from "../definitions/api";
import { OnSwitch } from "../definitions/OnSwitch";
import type { Trigger } from "./api";
import { KIND_WORDS, pageOf } from "./model";
import { NewTriggerDialog } from "./NewTriggerDialog";

export default function TriggersPage() {
  const [url] = useUrl();
  const query = useQuery(listOf<Trigger>("triggers", { kind: url.kind, pack_ref: url.pack_ref }));
  const { may } = useMay("editor");
  const dialog = useOpen();
  const text = (url.q ?? "").toLowerCase();
  const action = (
    <Button look="primary" onClick={dialog.show}>
      New custom trigger
    </Button>
  );
  return (
    <Page title="Triggers" actions={may && action}>
      <FilterBar clear={["q", "kind", "pack_ref"]}>
        <TextFilter param="q" label="Filter by ref or label" width="220px" />
        <SelectFilter
          param="kind"
          label="Kind"
          any="any kind"
          options={Object.entries(KIND_WORDS).map(([value, { label }]) => ({ value, label }))}
        />
        <TextFilter param="pack_ref" label="Pack" />
      </FilterBar>
      <Loaded query={query}>
        {({ items }) => {
          const rows = items.filter(
            (trigger) => trigger.ref.includes(text) || trigger.label.toLowerCase().includes(text),
          );
          if (rows.length > 0) return <TriggerTable rows={rows} />;
          if (items.length > 0 || url.kind || url.pack_ref) return <Empty text="No trigger matches these filters." />;
          return (
            <Empty text="No triggers yet. A custom trigger receives events through the API." action={may && action} />
          );
        }}
      </Loaded>
      <NewTriggerDialog open={dialog.open} onClose={dialog.hide} />
    </Page>
  );
}

function TriggerTable({ rows }: { rows: Trigger[] }) {
  const columns: Column<Trigger>[] = [
    { id: "ref", head: "Trigger", cell: (trigger) => <Ref name={trigger.ref} to={pageOf(trigger)} />, width: "26%" },
    { id: "kind", head: "Kind", cell: (trigger) => KIND_WORDS[trigger.kind].label, width: "120px" },
    {
      id: "label",
      head: "Label",
      cell: (trigger) => (
        <span>
          {trigger.label !== trigger.ref && trigger.label} <span className="soft">{trigger.description}</span>
        </span>
      ),
      phone: "last",
    },
    {
      id: "last",
      head: "Last event",
      cell: (trigger) => <Time at={trigger.last_fired_at} show="relative" />,
      width: "150px",
      phone: "off",
    },
    {
      id: "on",
      head: <span className="hidden-text">Enabled</span>,
      cell: (trigger) => <OnSwitch noun="triggers" refName={trigger.ref} on={trigger.enabled} />,
      width: "72px",
      align: "right",
    },
  ];
  return <Table name="Triggers" columns={columns} rows={rows} rowKey={(trigger) => trigger.ref} to={pageOf} />;
}
