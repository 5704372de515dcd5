import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { MoreHorizontal } from "lucide-react";
import { IconButton, LinkButton } from "../../kit/button";
import { copyText } from "../../kit/copy";
import { FilterBar, TextFilter } from "../../kit/filters";
import { Choice, Switch } from "../../kit/form";
import { StateBadge } from "../../kit/glyph";
import { Menu } from "../../kit/menu";
import { Page } from "../../kit/page";
import { Ref } from "../../kit/ref";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import { useLiveRefetch } from "../../lib/live";
import { grouped } from "../../lib/numbers";
import { useMay } from "../../lib/session";
import { duration } from "../../lib/time";
import { useSwitch } from "../definitions/api";
import { useFireNow } from "../definitions/fire";
import { timers } from "./api";
import { markOf } from "./marks";
import { countStates, matches, type Timer } from "./model";
import { Schedule } from "./schedule";

const STATES = ["all", "late", "missed", "error", "disabled"] as const;

export default function TimersPage() {
  const query = useQuery(timers());
  useLiveRefetch(["timers", "list"], { kinds: ["event.created"], every: 3_000 });
  const { may, why } = useMay("editor");
  return (
    <Page
      title="Timers"
      actions={
        may ? (
          <LinkButton to="/timers/new" look="primary">
            New timer
          </LinkButton>
        ) : (
          <span className="meta">{why}</span>
        )
      }
    >
      <Loaded query={query}>{({ items, more }) => <TimerList items={items} more={more} />}</Loaded>
    </Page>
  );
}

function TimerList({ items, more }: { items: Timer[]; more: boolean }) {
  const [url, setUrl] = useUrl();
  const state = url.state ?? "all";
  const text = url.q ?? "";
  const counts = countStates(items);
  const rows = items.filter((timer) => matches(timer, state, text));
  if (items.length === 0) {
    return (
      <Empty
        text="No timers yet. A timer creates an event at set times."
        action={
          <LinkButton to="/timers/new" look="primary">
            New timer
          </LinkButton>
        }
      />
    );
  }
  return (
    <>
      <FilterBar clear={["q"]}>
        <Choice
          label="State"
          value={state}
          options={STATES.map((value) => ({ value, label: `${value} ${counts[value]}` }))}
          onChange={(value) => setUrl({ state: value === "all" ? undefined : value })}
        />
        <TextFilter param="q" label="Filter by ref" />
      </FilterBar>
      {rows.length === 0 ? (
        <Empty text={`No timer matches. ${items.length} exist without this filter.`} />
      ) : (
        <TimerTable rows={rows} />
      )}
      {more && <p className="meta">Only the first {items.length} timers are shown.</p>}
    </>
  );
}

function TimerTable({ rows }: { rows: Timer[] }) {
  const columns: Column<Timer>[] = [
    {
      id: "ref",
      head: "Timer",
      cell: (t) => <Ref name={t.trigger_ref} to={`/timers/${t.trigger_ref}`} />,
      width: "22%",
    },
    { id: "schedule", head: "Schedule", cell: (t) => <Schedule config={t.config} />, phone: "last" },
    { id: "state", head: "State", cell: (t) => <StateBadge mark={markOf(t)} />, width: "140px" },
    { id: "last", head: "Last", cell: (t) => <Last timer={t} />, width: "170px", phone: "off" },
    {
      id: "next",
      head: "Next",
      cell: (t) => (t.enabled ? <Time at={t.next_fire_at} show="relative" /> : <span className="tone-quiet">–</span>),
      width: "130px",
    },
    {
      id: "fired",
      head: "Fired",
      cell: (t) => <span className="num">{grouped(t.fired)}</span>,
      width: "76px",
      align: "right",
      phone: "off",
    },
    {
      id: "on",
      head: <span className="hidden-text">Enabled</span>,
      cell: (t) => <TimerSwitch timer={t} />,
      width: "100px",
      align: "right",
    },
  ];
  const fire = useFireNow();
  const { why } = useMay("operator");
  return (
    <Table
      name="Timers"
      columns={columns}
      rows={rows}
      rowKey={(t) => t.trigger_ref}
      to={(t) => `/timers/${t.trigger_ref}`}
      rowKeys={why == null ? [{ keys: "f", text: "Fire now", run: (t) => fire(t.trigger_ref) }] : []}
    />
  );
}

function Last({ timer }: { timer: Timer }) {
  if (timer.last_fired_at == null) return <span className="tone-quiet">–</span>;
  const late = timer.last_late_ms ?? 0;
  return (
    <span className="num">
      <Time at={timer.last_scheduled_at ?? timer.last_fired_at} />{" "}
      <span className={late > 1_000 ? "tone-late" : "tone-quiet"}>
        {late > 1_000 ? `${duration(late)} late` : `${late} ms`}
      </span>
    </span>
  );
}

function TimerSwitch({ timer }: { timer: Timer }) {
  const { change, shown } = useSwitch("triggers");
  const fire = useFireNow();
  const navigate = useNavigate();
  const editor = useMay("editor");
  const operator = useMay("operator");
  const ref = timer.trigger_ref;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keeps a click on a control from opening the row.
    // biome-ignore lint/a11y/useKeyWithClickEvents: keeps a click on a control from opening the row.
    <span className="row" style={{ justifyContent: "flex-end" }} onClick={(event) => event.stopPropagation()}>
      <Switch
        on={shown(ref, timer.enabled)}
        onChange={(on) => change(ref, on)}
        name={`Enabled: ${ref}`}
        why={operator.why}
      />
      <Menu
        label={`Actions for ${ref}`}
        entries={[
          { label: "Fire now", onSelect: () => fire(ref), why: operator.why },
          { label: "Edit", onSelect: () => void navigate({ to: `/timers/${ref}/edit` }), why: editor.why },
          { label: "Copy ref", onSelect: () => copyText(ref, "The ref") },
        ]}
      >
        <IconButton small name={`Actions for ${ref}`} icon={<MoreHorizontal size={16} />} />
      </Menu>
    </span>
  );
}
