import { clsx } from "clsx";
import { Glyph } from "../../kit/glyph";
import { clockTime, duration, ms, useNow, useZone } from "../../lib/time";
import type { Bar, ExecutionNode, Trace } from "./model";

interface Props {
  trace: Trace;
  selected: string | undefined;
  onSelect: (id: string) => void;
}

interface Lane {
  id: string;
  label: string;
  bars: Bar[];
  end: string;
}

/** When what happened, to scale. Waits are hatched. */
export function TimeAxis({ trace, selected, onSelect }: Props) {
  const zone = useZone();
  const current = useNow(1);
  const until = Math.max(trace.to ?? current, trace.from + 10);
  const span = until - trace.from;
  const lanes = lanesOf(trace);
  const place = (at: number) => `${(Math.min(Math.max(at - trace.from, 0), span) / span) * 100}%`;
  return (
    <figure className="axis card" aria-label={`Time from ${clockTime(trace.from, zone, "ms")}, ${duration(span)} long`}>
      <div className="axis-head">
        <span className="axis-label meta">{clockTime(trace.from, zone, "ms")}</span>
        <div className="axis-track">
          {ticks(span).map((tick) => (
            <span key={tick} className="axis-tick meta" style={{ left: place(trace.from + tick) }}>
              {tick === 0 ? "0" : duration(tick)}
            </span>
          ))}
        </div>
      </div>
      {lanes.map((lane) => (
        <button
          key={lane.id}
          type="button"
          className={clsx("axis-lane", selected === lane.id && "chosen")}
          onClick={() => onSelect(lane.id)}
        >
          <span className="axis-label mono cut">{lane.label}</span>
          <span className="axis-track">
            {lane.bars.map((bar, index) => {
              const to = bar.to ?? until;
              return (
                <span
                  key={index}
                  className={clsx(
                    "axis-bar",
                    bar.kind === "ran" ? `fill-${bar.tone}` : bar.kind === "decided" ? "fill-quiet" : "hatch",
                  )}
                  style={{ left: place(bar.from), width: `max(6px, ${((to - bar.from) / span) * 100}%)` }}
                  title={`${bar.text}: ${duration(to - bar.from)}`}
                />
              );
            })}
          </span>
          <span className="axis-end meta cut">{lane.end}</span>
        </button>
      ))}
      {trace.to === undefined && (
        <p className="meta axis-live">
          <Glyph name="running" tone="run" size={12} /> it goes on
        </p>
      )}
    </figure>
  );
}

function lanesOf(trace: Trace): Lane[] {
  const lanes: Lane[] = [];
  const { event } = trace;
  if (event) {
    const received = ms(event.received_at);
    const bars: Bar[] = [];
    if (event.scheduled_at && received - ms(event.scheduled_at) >= 20) {
      bars.push({ kind: "late", tone: "late", from: ms(event.scheduled_at), to: received, text: "late" });
    }
    bars.push({
      kind: "decided",
      tone: "quiet",
      from: received,
      to: trace.decidedAt ?? received,
      text: "received and evaluated",
    });
    const length = trace.decidedAt === undefined ? "" : `evaluated in ${duration(trace.decidedAt - received)}`;
    lanes.push({ id: event.id, label: "event", bars, end: length });
  }
  const lane = (node: ExecutionNode, label: string) =>
    lanes.push({ id: node.id, label, bars: node.bars, end: node.execution.error ?? node.mark.word });
  for (const rule of trace.rules) for (const node of rule.executions) lane(node, rule.ref);
  for (const node of trace.loose) lane(node, node.execution.action_ref);
  return lanes.slice(0, 200);
}

/** Round steps: at most seven marks. */
export function ticks(span: number): number[] {
  const steps = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 18e5, 36e5, 144e5, 864e5, 6048e5,
  ];
  const step = steps.find((each) => span / each <= 7) ?? span;
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, index) => index * step).filter(
    (tick) => tick <= span * 0.96,
  );
}
