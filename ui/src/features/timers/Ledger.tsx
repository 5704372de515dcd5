import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { LinkButton } from "../../kit/button";
import { Choice } from "../../kit/form";
import { Glyph } from "../../kit/glyph";
import { Empty, ProblemView } from "../../kit/states";
import { Time } from "../../kit/time";
import { useUrl } from "../../kit/url";
import { duration } from "../../lib/time";
import { type Tick, type TickStatus, totals } from "./ledger";
import type { Timer } from "./model";
import { Strip } from "./Strip";
import { type Range, useLedger } from "./useLedger";
import { MISFIRE_WORDS, noteWords, reasonWords } from "./words";

const RANGES: readonly { value: Range; label: string }[] = [
  { value: "1h", label: "1 h" },
  { value: "24h", label: "24 h" },
  { value: "7d", label: "7 d" },
  { value: "30d", label: "30 d" },
];

export function Ledger({ timer }: { timer: Timer }) {
  const [url, setUrl] = useUrl();
  const short = timer.config.type === "interval" && (timer.config.seconds ?? 0) > 0;
  const range = (url.range as Range | undefined) ?? (short ? "1h" : "7d");
  const ledger = useLedger(timer, range);
  const [selected, setSelected] = useState<number | undefined>();
  const navigate = useNavigate();
  const open = (tick: Tick) => tick.eventId != null && void navigate({ to: `/t/${tick.eventId}` });
  const zone = timer.config.type === "cron" ? (timer.config.timezone ?? "UTC") : undefined;
  const tick = selected === undefined ? undefined : ledger.ticks[selected];
  return (
    <section className="card" aria-label="Ledger">
      <header>
        <h2>Ledger</h2>
        <span className="meta wide-only">{zone == null ? "" : `times in ${zone}`}</span>
        <span className="push" />
        <Choice label="Range" value={range} options={RANGES} onChange={(value) => setUrl({ range: value })} />
      </header>
      <div className="col" style={{ padding: 16 }}>
        {ledger.fired.error != null && ledger.fired.data == null ? (
          <ProblemView error={ledger.fired.error} retry={() => void ledger.fired.refetch()} />
        ) : ledger.ticks.length === 0 && ledger.fired.data != null ? (
          <Empty text="Nothing fired, was missed, or is due in this range." />
        ) : (
          <>
            <Strip
              ticks={ledger.ticks}
              from={ledger.from}
              to={ledger.to}
              zone={zone}
              selected={selected}
              onSelect={setSelected}
              onOpen={open}
            />
            <Legend ticks={ledger.ticks} />
          </>
        )}
        {ledger.cut && (
          <p className="meta">Only the newest {ledger.shown} fired occurrences are shown; the strip begins there.</p>
        )}
        {tick != null && <Selected tick={tick} timer={timer} zone={zone} />}
      </div>
      <Rows ticks={ledger.ticks} zone={zone} />
    </section>
  );
}

const WORDS: Record<TickStatus, string> = {
  fired: "fired",
  late: "fired late",
  missed: "missed",
  due: "due",
  paused: "passed while disabled",
};

function Legend({ ticks }: { ticks: readonly Tick[] }) {
  const sum = totals(ticks);
  const late = ticks.reduce((worst, tick) => Math.max(worst, tick.status === "late" ? (tick.lateMs ?? 0) : 0), 0);
  const shown: [TickStatus, string][] = [
    ["fired", ""],
    ["late", late > 0 ? `, at most ${duration(late)}` : ""],
    ["missed", ""],
    ["due", ""],
  ];
  const moved = ticks.filter((tick) => tick.note != null).length;
  return (
    <p className="row wrap legend">
      {shown.map(([status, more]) => (
        <span key={status} className="row" data-empty={sum[status] === 0}>
          <span className={`tick ${status}`} aria-hidden="true" /> {WORDS[status]} {sum[status]}
          {more}
        </span>
      ))}
      {moved > 0 && (
        <span className="row">
          <span className="tick moved" aria-hidden="true" /> clock change {moved}
        </span>
      )}
    </p>
  );
}

function Selected({ tick, timer, zone }: { tick: Tick; timer: Timer; zone: string | undefined }) {
  const policy = MISFIRE_WORDS[timer.config.misfire ?? "catch_up"].label.toLowerCase();
  return (
    <div
      className={`banner tint-${tick.status === "missed" ? "bad" : tick.status === "late" ? "late" : "quiet"}`}
      role="status"
    >
      <Glyph
        name={
          tick.status === "missed"
            ? "failed"
            : tick.status === "due"
              ? "open"
              : tick.status === "late"
                ? "attention"
                : "done"
        }
        tone={
          tick.status === "missed" ? "bad" : tick.status === "late" ? "late" : tick.status === "due" ? "quiet" : "ok"
        }
      />
      <div className="grow">
        <strong>
          <Time at={tick.at} {...(zone == null ? {} : { zone })} />
          {tick.until != null && tick.until > tick.at && (
            <>
              {" to "}
              <Time at={tick.until} {...(zone == null ? {} : { zone })} />
            </>
          )}
        </strong>{" "}
        {tick.status === "missed" &&
          `${tick.count} missed: ${reasonWords(tick.reason ?? "no reason was recorded")}. Policy: ${policy}.`}
        {tick.status === "due" && (noteWords(tick.note, (tick.local ?? "").slice(11, 16)) ?? "Due.")}
        {(tick.status === "fired" || tick.status === "late") &&
          `Fired ${duration(tick.lateMs ?? 0)} after the planned time.`}
      </div>
      {tick.eventId != null && (
        <LinkButton to={`/t/${tick.eventId}`} small>
          Trace
        </LinkButton>
      )}
    </div>
  );
}

/** The same as the strip, for screen readers. */
function Rows({ ticks, zone }: { ticks: readonly Tick[]; zone: string | undefined }) {
  return (
    <table className="hidden-text" aria-label="Occurrences">
      <tbody>
        {ticks.slice(-50).map((tick) => (
          <tr key={`${tick.at}-${tick.status}`}>
            <td>
              <Time at={tick.at} {...(zone == null ? {} : { zone })} />
            </td>
            <td>
              {WORDS[tick.status]}
              {tick.count > 1 ? ` ${tick.count}` : ""} {tick.reason && reasonWords(tick.reason)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
