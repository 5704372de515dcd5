import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { Button, LinkButton } from "../../kit/button";
import { Ref } from "../../kit/ref";
import { Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import { useMay } from "../../lib/session";
import { date, dayKey, hourOf, ms, useNow } from "../../lib/time";
import { useFireNow } from "../definitions/fire";
import { Says } from "./Agenda";
import { hoursOf, type Item, lanesOf } from "./model";
import { outageOf } from "./Outage";
import type { Span } from "./span";

const ROW = 30;
const HEAD = 26;
const NAMES = 190;

/** One lane per timer on a time axis: 23, 24 or 25 hours of a day, or the days of a week. */
export function Lanes({
  items,
  span,
  zone,
  week,
}: {
  items: readonly Item[];
  span: Span;
  zone: string;
  week: boolean;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(1000);
  const [chosen, setChosen] = useState<Item | undefined>();
  const now = useNow(1);
  const [url] = useUrl();
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => entry && setRoom(entry.contentRect.width));
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const width = Math.max(700, room) - NAMES;
  const x = (at: number) => NAMES + ((at - span.from) / (span.to - span.from)) * width;
  const lanes = lanesOf(items);
  const height = HEAD + lanes.length * ROW;
  const columns = week
    ? span.days.map((day) => ({ start: day.start, label: date(day.start, zone, day.start) }))
    : hoursOf(span.from, span.to, (at) => hourOf(at, zone)).map((hour) => ({
        start: hour.start,
        label: `${hour.label}${hour.pass && ` ${hour.pass}`}`,
      }));
  const down = outageOf(url.down);
  const step = (event: KeyboardEvent, item: Item) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (event.key === "Enter" || event.key === " ") setChosen(item);
    if (by !== 0) {
      const marks = [...(box.current?.querySelectorAll<SVGElement>("[data-mark]") ?? [])];
      marks[marks.indexOf(event.currentTarget as SVGElement) + by]?.focus();
      event.stopPropagation();
    }
    if (event.key === "Enter" || event.key === " " || by !== 0) event.preventDefault();
  };
  return (
    <>
      <div ref={box} className="card lanes">
        <svg
          width={NAMES + width}
          height={height}
          role="group"
          aria-label={`Occurrences, ${dayKey(span.from, zone)}`}
          data-columns={columns.length}
        >
          {columns.map((column) => (
            <g key={column.start}>
              <line x1={x(column.start)} x2={x(column.start)} y1={0} y2={height} stroke="var(--line)" />
              <text x={x(column.start) + 4} y={17} fontSize={11} fill="var(--ink-3)">
                {column.label}
              </text>
            </g>
          ))}
          {down !== undefined && (
            <rect
              x={x(ms(down[0]))}
              y={HEAD}
              width={Math.max(0, x(ms(down[1])) - x(ms(down[0])))}
              height={height - HEAD}
              fill="var(--late-tint)"
            />
          )}
          {lanes.map((lane, row) => (
            <g key={lane.ref}>
              <line x1={0} x2={NAMES + width} y1={HEAD + row * ROW} y2={HEAD + row * ROW} stroke="var(--line)" />
              <text x={12} y={HEAD + row * ROW + 19} fontSize={12} fill="var(--ink)" className="mono">
                {lane.ref.length > 24 ? `${lane.ref.slice(0, 23)}…` : lane.ref}
              </text>
              {lane.items.map((item) => (
                <Occurrence
                  key={item.at}
                  item={item}
                  x={x(item.at)}
                  end={item.until === null ? undefined : x(ms(item.until))}
                  y={HEAD + row * ROW}
                  on={chosen?.at === item.at && chosen.trigger_ref === item.trigger_ref}
                  onChoose={() => setChosen(item)}
                  onKey={(event) => step(event, item)}
                  label={`${lane.ref}, ${item.status}, ${date(item.at, zone, item.at)}`}
                />
              ))}
            </g>
          ))}
          {now >= span.from && now < span.to && (
            <line x1={x(now)} x2={x(now)} y1={HEAD - 6} y2={height} stroke="var(--bad)" strokeWidth={1.5} />
          )}
        </svg>
      </div>
      {chosen && <Chosen item={chosen} zone={zone} />}
    </>
  );
}

interface OccurrenceProps {
  item: Item;
  x: number;
  end: number | undefined;
  y: number;
  on: boolean;
  label: string;
  onChoose: () => void;
  onKey: (event: KeyboardEvent) => void;
}

const COLOUR = { fired: "var(--ok)", late: "var(--late)", missed: "var(--bad)", due: "var(--accent)" };

/** Solid: fired. Triangle: late. Hatched: missed. Hollow: due. A diamond marks a clock change. */
function Occurrence({ item, x, end, y, on, label, onChoose, onKey }: OccurrenceProps) {
  const width = Math.max(6, (end ?? x) - x);
  const hollow = item.status === "due";
  const lost = item.status === "missed" || item.fate?.what === "missed";
  const colour = item.fate?.what === "fires_late" ? "var(--late)" : lost ? "var(--bad)" : COLOUR[item.status];
  return (
    <g
      data-mark
      tabIndex={0}
      role="button"
      aria-label={label}
      onClick={onChoose}
      onKeyDown={onKey}
      style={{ cursor: "pointer" }}
    >
      <rect x={x - 3} y={y + 1} width={width + 6} height={ROW - 2} fill={on ? "var(--run-tint)" : "transparent"} />
      <rect
        x={x}
        y={y + 8}
        width={width}
        height={15}
        rx={1.5}
        fill={hollow ? "var(--surface)" : colour}
        stroke={colour}
        strokeWidth={1.5}
        strokeDasharray={lost ? "2 2" : undefined}
      />
      {item.status === "late" && <path d={`M${x + width / 2} ${y + 2}l4 5h-8Z`} fill={colour} />}
      {item.note !== null && <path d={`M${x + width / 2} ${y + 1}l4 4-4 4-4-4Z`} fill="var(--late)" />}
    </g>
  );
}

function Chosen({ item, zone }: { item: Item; zone: string }) {
  const fire = useFireNow();
  const { why } = useMay("operator");
  return (
    <section className="card pad row wrap" aria-live="polite">
      <strong>
        <Time at={item.at} zone={zone} />
      </strong>
      <Ref name={item.trigger_ref} to={`/timers/${item.trigger_ref}`} />
      <span className="soft">{item.status}</span>
      <Says item={item} zone={zone} />
      <span className="push" />
      <Button small onClick={() => fire(item.trigger_ref)} why={why}>
        Fire now
      </Button>
      <LinkButton small to={`/timers/${item.trigger_ref}`}>
        Timer
      </LinkButton>
    </section>
  );
}
