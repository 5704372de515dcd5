import { useQuery } from "@tanstack/react-query";
import { LinkButton } from "../../kit/button";
import { Choice } from "../../kit/form";
import { StateBadge } from "../../kit/glyph";
import { Empty, Loaded } from "../../kit/states";
import { type Column, Table } from "../../kit/table";
import { Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import { useLiveRefetch } from "../../lib/live";
import { type Rule, type VerdictRow, verdicts } from "./api";
import { verdictMark } from "./marks";
import { groupVerdicts } from "./words";

type View = "time" | "clause";
const VIEWS: readonly { value: View; label: string }[] = [
  { value: "time", label: "by time" },
  { value: "clause", label: "by reason" },
];

/** Why it did or did not run: the latest events of the trigger with this rule's verdict. */
export function Verdicts({ rule }: { rule: Rule }) {
  const query = useQuery(verdicts(rule.ref, rule.trigger_ref));
  useLiveRefetch(["rules", "verdicts", rule.ref], {
    kinds: ["event.created", "enforcement"],
    matches: (frame) => frame.trigger_ref === rule.trigger_ref,
    every: 10_000,
  });
  const [url, setUrl] = useUrl();
  const view = (url.group as View | undefined) ?? "time";
  return (
    <div className="col" style={{ paddingTop: 12 }}>
      <div className="row wrap">
        <Choice label="Group" value={view} options={VIEWS} onChange={(value) => setUrl({ group: value })} />
        <span className="meta">The latest events of {rule.trigger_ref}, as the rule decided them then.</span>
      </div>
      <Loaded query={query}>
        {(rows) => {
          if (rows.length === 0)
            return <Empty text={`No event of ${rule.trigger_ref} is stored, so the rule decided nothing yet.`} />;
          return view === "time" ? <ByTime rows={rows} /> : <ByReason rows={rows} />;
        }}
      </Loaded>
    </div>
  );
}

function ByTime({ rows }: { rows: VerdictRow[] }) {
  const columns: Column<VerdictRow>[] = [
    { id: "at", head: "Event", cell: (row) => <Time at={row.receivedAt} />, width: "150px" },
    {
      id: "mark",
      head: "Verdict",
      cell: (row) =>
        row.verdict ? (
          <StateBadge mark={verdictMark(row.verdict.mark)} />
        ) : (
          <span className="soft">{row.pending ? "not decided yet" : "not considered"}</span>
        ),
      width: "180px",
    },
    {
      id: "verdict",
      head: "Why",
      cell: (row) => (
        <span title={row.verdict?.text}>
          {row.verdict?.text.replace(/^(did not match|cannot be evaluated): /, "") ?? "–"}
        </span>
      ),
      phone: "last",
    },
    {
      id: "payload",
      head: "Payload",
      cell: (row) => <span className="mono soft">{scalars(row.payload)}</span>,
      width: "28%",
      phone: "off",
    },
  ];
  return (
    <Table
      name="Verdicts"
      columns={columns}
      rows={rows}
      rowKey={(row) => row.eventId}
      to={(row) => `/t/${row.eventId}`}
    />
  );
}

function ByReason({ rows }: { rows: VerdictRow[] }) {
  const groups = groupVerdicts(
    rows.flatMap((row) => (row.verdict ? [{ eventId: row.eventId, verdict: row.verdict }] : [])),
  );
  return (
    <ul className="card lines">
      {groups.map((group) => (
        <li key={`${group.mark} ${group.text}`} className="row wrap">
          <StateBadge mark={{ ...verdictMark(group.mark), word: `${group.count} ×` }} />
          <span className="grow">{group.text === "matched" ? "matched" : group.text}</span>
          <LinkButton small to={`/t/${group.eventIds[0]}`}>
            Latest trace
          </LinkButton>
        </li>
      ))}
    </ul>
  );
}

function scalars(payload: unknown): string {
  if (payload == null || typeof payload !== "object") return "";
  return Object.entries(payload)
    .filter(([, value]) => value === null || typeof value !== "object")
    .slice(0, 3)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(" ");
}
