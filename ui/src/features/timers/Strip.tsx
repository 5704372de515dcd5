import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { clockTime, date, useNow, useZone } from "../../lib/time";
import { layout, type Mark, type Tick, type TickStatus } from "./ledger";

const HEIGHT = 44;
const TONE: Record<TickStatus, string> = {
  fired: "var(--ok)",
  late: "var(--late)",
  missed: "var(--bad)",
  due: "var(--ink-3)",
  paused: "var(--quiet)",
};

interface StripProps {
  ticks: readonly Tick[];
  from: number;
  to: number;
  zone?: string;
  selected: number | undefined;
  onSelect: (index: number) => void;
  onOpen?: (tick: Tick) => void;
}

/** One mark per occurrence on a time axis. Arrow keys step through them. */
export function Strip({ ticks, from, to, zone, selected, onSelect, onOpen }: StripProps) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(800);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.max(200, entry.contentRect.width)));
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const marks = useMemo(() => layout(ticks, from, to, width), [ticks, from, to, width]);
  const now = useNow(1);
  const x = ((now - from) / Math.max(1, to - from)) * width;

  const onKeyDown = (event: KeyboardEvent) => {
    const at = selected ?? ticks.findIndex((tick) => tick.at >= now);
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: ticks.length - 1 }[event.key];
    const tick = selected === undefined ? undefined : ticks[selected];
    if (event.key === "Enter" && tick) onOpen?.(tick);
    if (next === undefined || ticks[next] === undefined) return;
    event.preventDefault();
    onSelect(next);
  };

  return (
    <div
      ref={box}
      className="strip"
      tabIndex={0}
      role="group"
      aria-label="Occurrences. Arrow keys step through them."
      onKeyDown={onKeyDown}
    >
      <svg width={width} height={HEIGHT + 18} aria-hidden="true">
        <Hatch />
        <line x1={0} x2={width} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} stroke="var(--line)" />
        {marks.map((mark) => (
          <MarkShape
            key={`${mark.first}-${mark.status}`}
            mark={mark}
            on={selected !== undefined && selected >= mark.first && selected <= mark.last}
            onClick={() => onSelect(mark.last)}
          />
        ))}
        {x >= 0 && x <= width && <line x1={x} x2={x} y1={0} y2={HEIGHT} stroke="var(--bad)" strokeWidth={1.5} />}
        <Axis from={from} to={to} width={width} zone={zone} />
      </svg>
    </div>
  );
}

/** Every status has a shape of its own: solid, triangle on top, hatched, hollow. */
function MarkShape({ mark, on, onClick }: { mark: Mark; on: boolean; onClick: () => void }) {
  const { x, width, status } = mark;
  const top = status === "due" ? 16 : 12;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the strip itself takes the keys.
    <g onClick={onClick} style={{ cursor: "pointer", color: TONE[status] }}>
      <rect x={x - 3} y={0} width={width + 6} height={HEIGHT} fill={on ? "var(--run-tint)" : "transparent"} />
      {status === "due" ? (
        <rect
          x={x + 0.5}
          y={top}
          width={Math.max(2, width - 1)}
          height={HEIGHT - top - 1}
          fill="none"
          stroke="currentColor"
        />
      ) : (
        <rect
          x={x}
          y={top}
          width={width}
          height={HEIGHT - top}
          fill={status === "missed" ? "url(#hatch)" : "currentColor"}
          stroke={status === "missed" ? "currentColor" : "none"}
        />
      )}
      {status === "late" && <path d={`M${x + width / 2} 2l5 8h-10Z`} fill="currentColor" />}
      {mark.note && <path d={`M${x + width / 2} 2l4 4-4 4-4-4Z`} fill="var(--late)" />}
    </g>
  );
}

function Hatch() {
  return (
    <defs>
      <pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width="5" height="5" fill="var(--bad-tint)" />
        <rect width="2" height="5" fill="var(--bad)" />
      </pattern>
    </defs>
  );
}

function Axis({ from, to, width, zone }: { from: number; to: number; width: number; zone: string | undefined }) {
  const appZone = useZone();
  const shown = zone ?? appZone;
  const count = Math.max(2, Math.min(8, Math.floor(width / 130)));
  const long = to - from > 2 * 86_400_000;
  return Array.from({ length: count + 1 }, (_, i) => {
    const at = from + ((to - from) * i) / count;
    const anchor = i === 0 ? "start" : i === count ? "end" : "middle";
    return (
      <text key={i} x={(width * i) / count} y={HEIGHT + 14} fontSize={11} fill="var(--ink-3)" textAnchor={anchor}>
        {long ? date(at, shown, at) : clockTime(at, shown, "minute")}
      </text>
    );
  });
}
