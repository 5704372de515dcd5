import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Button, LinkButton } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Switch } from "../../kit/form";
import { StateBadge } from "../../kit/glyph";
import { Page } from "../../kit/page";
import { Banner, Loaded } from "../../kit/states";
import { Time } from "../../kit/time";
import { useKeys } from "../../lib/keys";
import { useLiveRefetch } from "../../lib/live";
import { grouped } from "../../lib/numbers";
import type { Schema } from "../../lib/schema";
import { useMay } from "../../lib/session";
import { duration, iso, useNow } from "../../lib/time";
import { DeleteDialog, useOpen } from "../definitions/actions";
import { oneOf, useSwitch } from "../definitions/api";
import { useFireNow } from "../definitions/fire";
import { UsedBy } from "../definitions/UsedBy";
import { copyForms } from "../definitions/words";
import { occurrences, timers } from "./api";
import { Ledger } from "./Ledger";
import { markOf } from "./marks";
import type { Timer } from "./model";
import { Schedule } from "./schedule";
import { MISFIRE_WORDS } from "./words";

type TimerTrigger = Schema<"TimerTriggerView">;

export default function TimerPage() {
  const { ref = "" } = useParams({ strict: false }) as { ref?: string };
  const trigger = useQuery(oneOf<TimerTrigger>("triggers", ref));
  const all = useQuery(timers());
  useLiveRefetch(["timers", "list"], {
    kinds: ["event.created"],
    matches: (frame) => frame.trigger_ref === ref,
    every: 3_000,
  });
  const timer = all.data?.items.find((one) => one.trigger_ref === ref);
  return (
    <Loaded query={trigger} notFound={`No timer has the ref ${ref}.`}>
      {(found) => <Detail trigger={found} timer={timer} />}
    </Loaded>
  );
}

function Detail({ trigger, timer }: { trigger: TimerTrigger; timer: Timer | undefined }) {
  const { ref } = trigger;
  const { change, shown } = useSwitch("triggers");
  const fire = useFireNow();
  const editor = useMay("editor");
  const operator = useMay("operator");
  const removal = useOpen();
  useKeys("Timer", operator.may ? [{ keys: "f", text: "Fire now", run: () => fire(ref) }] : []);
  const mark = timer == null ? undefined : markOf(timer);
  return (
    <Page
      title={mark == null ? ref : `${mark.word} · ${ref}`}
      heading={<span className="mono-title">{ref}</span>}
      aside={
        <span className="row wrap">
          {mark != null && <StateBadge mark={mark} />}
          <Schedule config={trigger.config} long />
        </span>
      }
      actions={
        <>
          <span className="row">
            <Switch
              on={shown(ref, trigger.enabled)}
              onChange={(on) => change(ref, on)}
              name="Enabled"
              why={operator.why}
            />
            {trigger.enabled ? "Enabled" : "Disabled"}
          </span>
          <Button onClick={() => fire(ref)} why={operator.why}>
            Fire now
          </Button>
          {editor.may && <LinkButton to={`/timers/${ref}/edit`}>Edit</LinkButton>}
          <CopyAs forms={copyForms("triggers", trigger)} />
          <Button look="danger" onClick={removal.show} why={editor.why}>
            Delete
          </Button>
        </>
      }
    >
      {trigger.description != null && <p className="soft">{trigger.description}</p>}
      {timer?.last_error != null && <Banner tone="bad">{timer.last_error}</Banner>}
      {!trigger.enabled && <Paused refName={ref} />}
      {timer != null && <Facts timer={timer} />}
      {timer != null && <Ledger timer={timer} />}
      <UsedBy trigger={ref} />
      <Policy config={trigger.config} />
      <DeleteDialog noun="triggers" refName={ref} open={removal.open} onClose={removal.hide} then="/timers">
        The timer and its schedule are removed. Its events stay for as long as events are kept. A timer that rules use
        cannot be deleted.
      </DeleteDialog>
    </Page>
  );
}

/** How long it has been disabled and how much has passed, as the server counts it. */
function Paused({ refName }: { refName: string }) {
  const now = useNow(60);
  const query = useQuery(occurrences(refName, iso(now), iso(now + 86_400_000), 1));
  const paused = query.data?.paused;
  return (
    <Banner tone="quiet" glyph="off">
      This timer is disabled.
      {paused != null && (
        <>
          {" "}
          Since <Time at={paused.since} />, {grouped(paused.passed)} occurrences have passed.
        </>
      )}{" "}
      Enabling it does not fire them; it continues with its next occurrence.
    </Banner>
  );
}

function Facts({ timer }: { timer: Timer }) {
  return (
    <div className="stats">
      <Fact name="Next">
        {timer.enabled && timer.next_fire_at != null ? <Time at={timer.next_fire_at} show="both" /> : "–"}
      </Fact>
      <Fact name="Last">
        {timer.last_fired_at == null ? (
          "not fired yet"
        ) : (
          <>
            <Time at={timer.last_scheduled_at ?? timer.last_fired_at} />
            {timer.last_late_ms != null && <span className="soft">, {duration(timer.last_late_ms)} late</span>}
          </>
        )}
      </Fact>
      <Fact name="Fired">{grouped(timer.fired)}</Fact>
      <Fact name="Late">{grouped(timer.late)}</Fact>
      <Fact name="Missed">{grouped(timer.missed)}</Fact>
    </div>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div className="stat">
      <span className="meta">{name}</span>
      <span className="num">{children}</span>
    </div>
  );
}

function Policy({ config }: { config: TimerTrigger["config"] }) {
  const policy = MISFIRE_WORDS[config.misfire ?? "catch_up"];
  return (
    <section className="card pad col">
      <h2>Missed occurrences</h2>
      <p>
        {policy.label}.{" "}
        <span className="soft">
          {policy.hint} An occurrence that is at most {config.grace_seconds ?? 10} s late counts as on time.
        </span>
      </p>
    </section>
  );
}
