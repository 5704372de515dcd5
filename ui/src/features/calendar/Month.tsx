import { useUrl } from "../../kit/url";
import { dayKey, useNow, weekdayOf } from "../../lib/time";
import { type Item, perDay } from "./model";
import type { Span } from "./span";

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** How many occurrences each day has. */
export function Month({ items, span, zone }: { items: readonly Item[]; span: Span; zone: string }) {
  const [, setUrl] = useUrl();
  const now = useNow(60);
  const counts = perDay(items, span.days);
  const most = Math.max(1, ...counts.map((day) => day.count));
  const before = weekdayOf(span.from, zone);
  const after = (7 - ((before + counts.length) % 7)) % 7;
  const today = dayKey(now, zone);
  return (
    <div className="month">
      {WEEKDAYS.map((name) => (
        <div key={name} className="head">
          {name}
        </div>
      ))}
      {Array.from({ length: before }, (_, i) => (
        <div key={`b${i}`} className="out" />
      ))}
      {counts.map((day) => {
        const key = dayKey(day.start, zone);
        return (
          <button
            key={key}
            type="button"
            aria-label={`${key}: ${day.count} occurrences${day.missed > 0 ? `, ${day.missed} missed` : ""}`}
            onClick={() => setUrl({ view: "day", at: key }, { push: true })}
          >
            <span className={key === today ? "day-number today" : "day-number"}>{Number(key.slice(8))}</span>
            {day.count > 0 && <span className="num">{day.count}</span>}
            {day.count > 0 && <span className="heat" style={{ width: `${Math.max(8, (day.count / most) * 100)}%` }} />}
            {day.missed > 0 && <span className="tone-bad">{day.missed} missed</span>}
          </button>
        );
      })}
      {Array.from({ length: after }, (_, i) => (
        <div key={`a${i}`} className="out" />
      ))}
    </div>
  );
}
