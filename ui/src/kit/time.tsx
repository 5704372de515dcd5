import {
  dateTime,
  duration,
  fullTime,
  type Instant,
  iso,
  ms,
  type Precision,
  relative,
  useNow,
  useZone,
} from "../lib/time";

interface TimeProps {
  at: Instant | null | undefined;
  /** `both` writes the age behind the time. */
  show?: "time" | "relative" | "both";
  precision?: Precision;
  /** Another zone than the app's: a timer's own. */
  zone?: string;
}

/** The only way to show an instant. Its tooltip has the user's zone, UTC and ISO 8601. */
export function Time({ at, show = "time", precision = "second", zone }: TimeProps) {
  const appZone = useZone();
  const now = useNow(1);
  if (at === null || at === undefined || at === "") return <span className="tone-quiet">–</span>;
  const time = ms(at);
  const utc = iso(time);
  const shownZone = zone ?? appZone;
  const title = utc ? [fullTime(time, shownZone), fullTime(time, "UTC"), utc].join("\n") : "";
  const absolute = dateTime(time, shownZone, now, precision);
  const age = relative(time, now);
  return (
    <time dateTime={utc} title={title}>
      {show === "relative" ? age : absolute}
      {show === "both" && <span className="tone-quiet"> ({age})</span>}
    </time>
  );
}

/** A length of time; counts on while `to` is missing. */
export function DurationText({ from, to, of }: { from?: Instant | null; to?: Instant | null; of?: number | null }) {
  if (of !== undefined && of !== null) return <span className="num">{duration(of)}</span>;
  if (from === undefined || from === null) return <span className="tone-quiet">–</span>;
  if (to === undefined || to === null) return <Running from={from} />;
  return <span className="num">{duration(ms(to) - ms(from))}</span>;
}

function Running({ from }: { from: Instant }) {
  const now = useNow(1);
  return (
    <span className="num">
      {duration(Math.floor(Math.max(0, now - ms(from)) / 1000) * 1000).replace(".0 s", " s")}…
    </span>
  );
}
