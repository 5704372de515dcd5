import { Glyph } from "../../kit/glyph";
import { clockTime, date, iso, isZone, ms, nextClockChange, offset, relative, useNow, useZone } from "../../lib/time";
import { type Answer, useAnswer } from "../definitions/useAnswer";
import { type Occurrences, preview } from "./api";
import type { Occurrence, TimerConfig } from "./model";
import { noteWords, scheduleWords } from "./words";

interface Ask {
  config: TimerConfig;
  after?: string;
}

const ask = ({ config, after }: Ask, signal: AbortSignal) => preview(config, after, after == null ? 8 : 6, signal);

/** What the server says the schedule means: now, and around the next clock change of its zone. */
export function usePreview(config: TimerConfig): {
  soon: Answer<Occurrences>;
  change: Answer<Occurrences>;
  changeAt: number | undefined;
} {
  const now = useNow(3600);
  const zone = config.type === "cron" ? (config.timezone ?? "UTC") : undefined;
  const changeAt = zone == null || !isZone(zone) ? undefined : nextClockChange(zone, now);
  const soon = useAnswer<Ask, Occurrences>({ config }, ask);
  const around: Ask | undefined =
    changeAt == null || soon.error != null ? undefined : { config, after: iso(changeAt - 2 * 86_400_000) };
  const change = useAnswer<Ask, Occurrences>(around, ask);
  return { soon, change, changeAt };
}

export function Preview({ config }: { config: TimerConfig }) {
  const { soon, change, changeAt } = usePreview(config);
  const appZone = useZone();
  const own = config.type === "cron" ? (config.timezone ?? "UTC") : appZone;
  // While the user types, it may not be a zone yet.
  const zone = isZone(own) ? own : appZone;
  const words = scheduleWords(config);
  return (
    <section className="card preview" aria-label="Preview" aria-busy={soon.pending}>
      <header>
        <h2>Preview</h2>
        <span className="meta push">computed by the server</span>
      </header>
      <div className="col" style={{ padding: 16 }}>
        {config.type !== "one_shot" && (
          <p>
            <strong>{words.text}</strong>
            {words.zone != null && <span className="soft">, {words.zone}</span>}
          </p>
        )}
        {soon.error != null && (
          <p className="tone-bad">
            {soon.error.problem.errors.length > 0
              ? "The schedule has errors; see the fields."
              : soon.error.problem.detail}
          </p>
        )}
        {soon.data != null && <List of={soon.data} zone={zone} />}
        {soon.data == null && soon.error == null && <p className="meta">Asking the server …</p>}
        {changeAt != null && change.data != null && (
          <>
            <h3>
              Around the next clock change, {date(changeAt, zone, changeAt)} {clockTime(changeAt, zone, "minute")}
            </h3>
            <List of={change.data} zone={zone} />
          </>
        )}
      </div>
    </section>
  );
}

function List({ of, zone }: { of: Occurrences; zone: string }) {
  const now = useNow(1);
  if (of.occurrences.length === 0) return <p className="soft">{of.note ?? "It never fires."}</p>;
  return (
    <ol className="fires">
      {of.occurrences.map((one, i) => (
        <li key={one.scheduled_at} className="num">
          <span>
            {mark(one)} {when(one, zone)}
            {passOf(of.occurrences, i)}
          </span>
          <span className="soft">{relative(one.scheduled_at, now)}</span>
          {one.note != null && (
            <span className="note tone-late">{noteWords(one.note, one.local_time.slice(11, 16))}</span>
          )}
        </li>
      ))}
      {of.note != null && <li className="soft">{of.note}</li>}
    </ol>
  );
}

const mark = (one: Occurrence) =>
  one.note == null ? null : <Glyph name="attention" tone="late" size={13} label="clock change" />;

function when(one: Occurrence, zone: string): string {
  const at = ms(one.scheduled_at);
  return `${date(at, zone, at)} ${clockTime(at, zone)} ${offset(at, zone)}`;
}

/** `A` and `B` for two passes of the same local time. */
function passOf(all: readonly Occurrence[], i: number): string {
  const local = (one: Occurrence | undefined) => one?.local_time.slice(0, 19);
  const mine = local(all[i]);
  if (mine === local(all[i + 1])) return " A";
  return mine !== undefined && mine === local(all[i - 1]) ? " B" : "";
}
