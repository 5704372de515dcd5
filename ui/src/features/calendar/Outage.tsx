import { useState } from "react";
import { Button } from "../../kit/button";
import { Banner } from "../../kit/states";
import { useUrl } from "../../kit/url";
import { grouped } from "../../lib/numbers";
import { clockTime, date, iso, ms, useNow, useZone } from "../../lib/time";
import { InstantField } from "../definitions/form";
import { type CalendarAnswer, type Item, together } from "./model";
import type { Span } from "./span";

/** Two instants of the address: `down=A..B`. */
export function outageOf(text: string | undefined): [string, string] | undefined {
  const [from, to] = text?.split("..") ?? [];
  return from && to ? [from, to] : undefined;
}

/** What would happen if Attune did not run for a while. The server computes it. */
export function OutageBar({ span }: { span: Span }) {
  const [url, setUrl] = useUrl();
  const now = useNow(3600);
  const set = outageOf(url.down);
  const hour = 3_600_000;
  const begin = Math.ceil(Math.max(now, span.from) / hour) * hour;
  const [open, setOpen] = useState(set !== undefined);
  const [from, setFrom] = useState(set?.[0] ?? iso(begin));
  const [to, setTo] = useState(set?.[1] ?? iso(begin + 3 * hour));
  if (!open) {
    return (
      <span>
        <Button small onClick={() => setOpen(true)}>
          Simulate an outage …
        </Button>
      </span>
    );
  }
  const why = ms(to) > ms(from) ? undefined : "The end must be after the beginning.";
  return (
    <section className="card pad col" aria-label="Simulated outage">
      <div className="row wrap" style={{ gap: 16, alignItems: "flex-start" }}>
        <InstantField label="Attune is down from" value={from} onChange={setFrom} />
        <InstantField label="to" value={to} onChange={setTo} />
        <span className="row" style={{ paddingTop: 24 }}>
          <Button look="primary" why={why} onClick={() => setUrl({ down: `${from}..${to}` })}>
            Simulate
          </Button>
          <Button
            look="plain"
            onClick={() => {
              setOpen(false);
              setUrl({ down: undefined });
            }}
          >
            Close
          </Button>
        </span>
      </div>
    </section>
  );
}

/** The headline, from the totals of the server. */
export function OutageResult({ answer, items }: { answer: CalendarAnswer; items: readonly Item[] }) {
  const [url] = useUrl();
  const zone = useZone();
  const set = outageOf(url.down);
  if (set === undefined || answer.outage === null) return null;
  const { late, missed } = answer.outage;
  const same = together(items);
  const time = (at: string) => `${date(at, zone, at)} ${clockTime(at, zone, "minute")}`;
  return (
    <Banner tone={late + missed > 0 ? "late" : "quiet"}>
      If Attune is down from {time(set[0])} to {time(set[1])}:{" "}
      {late + missed === 0 ? (
        "nothing changes."
      ) : (
        <>
          <strong>{grouped(late)} would fire late</strong>, <strong>{grouped(missed)} would be missed</strong>
          {same > 1 && `, and at least ${same} would fire at the same moment`}.
        </>
      )}
    </Banner>
  );
}
