import { Link } from "@tanstack/react-router";
import { Glyph } from "../../kit/glyph";
import { Ref } from "../../kit/ref";
import { clockTime, date, duration, useNow } from "../../lib/time";
import type { Rule } from "../rules/api";
import { reasonWords } from "../timers/words";
import { fateWords, groupBy, type Item } from "./model";

const LOOK = {
  fired: { glyph: "done", tone: "ok" },
  late: { glyph: "attention", tone: "late" },
  missed: { glyph: "failed", tone: "bad" },
  due: { glyph: "open", tone: "quiet" },
} as const;

/** Every occurrence in order, by hour. */
export function Agenda({ items, zone, rules }: { items: readonly Item[]; zone: string; rules: Map<string, Rule[]> }) {
  const now = useNow(60);
  const groups = groupBy(items, (at) => `${date(at, zone, now)}, ${clockTime(at, zone, "minute").slice(0, 2)}:00`);
  return (
    <div className="card">
      {groups.map((group) => (
        <section key={group.key} aria-label={group.key}>
          <h3 className="agenda-hour">{group.key}</h3>
          <ul className="lines">
            {group.items.map((item) => (
              <li key={`${item.trigger_ref} ${item.at}`} className="row wrap">
                <span className="num agenda-time">{clockTime(item.at, zone)}</span>
                <Glyph {...withName(LOOK[item.status])} label={item.status} />
                <Ref name={item.trigger_ref} to={`/timers/${item.trigger_ref}`} />
                <Says item={item} zone={zone} />
                <span className="meta push wide-only">
                  {rules
                    .get(item.trigger_ref)
                    ?.map((rule) => rule.action_ref)
                    .join(", ")}
                </span>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}

const withName = (look: (typeof LOOK)[keyof typeof LOOK]) => ({ name: look.glyph, tone: look.tone });

export function Says({ item, zone }: { item: Item; zone: string }) {
  const own = item.local_time.slice(11, 16);
  const other = own !== clockTime(item.at, zone, "minute");
  return (
    <>
      {other && (
        <span className="meta">
          {own} {item.local_time.slice(19)}
        </span>
      )}
      {item.note === "dst_gap" && <span className="tone-late">moved by the clock change</span>}
      {item.note === "dst_overlap" && <span className="tone-late">this time occurs twice</span>}
      {item.status === "late" && <span className="tone-late">{duration(item.late_ms ?? 0)} late</span>}
      {item.status === "missed" && (
        <span className="tone-bad">
          {item.count} missed{item.reason && `: ${reasonWords(item.reason)}`}
        </span>
      )}
      {item.fate !== null && (
        <span className={item.fate.what === "missed" ? "tone-bad" : "tone-late"}>
          {fateWords(item.fate, (at) => clockTime(at, zone))}
        </span>
      )}
      {item.event_id !== null && <Link to={`/t/${item.event_id}`}>trace</Link>}
    </>
  );
}
