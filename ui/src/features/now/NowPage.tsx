import { Link, Navigate, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { LinkButton } from "../../kit/button";
import { Glyph, StateBadge } from "../../kit/glyph";
import { Page } from "../../kit/page";
import { Banner, Loaded, Skeleton } from "../../kit/states";
import { DurationText, Time } from "../../kit/time";
import { useKeys } from "../../lib/keys";
import type { ExecutionSummary } from "../../lib/schema";
import { useMay } from "../../lib/session";
import { duration, useNow } from "../../lib/time";
import { pageOf, useAttention } from "../attention/api";
import { useLatestExecutions } from "../executions/api";
import { executionMark, lastLine } from "../executions/model";
import { type Rule, useRules, useServices, useTimers } from "./api";
import { loadOf, upcoming } from "./model";
import { NowAttention } from "./NowAttention";
import "./now.css";

/** The first steps are offered once per visit. */
const offered = { welcome: false };

export default function NowPage() {
  const rules = useRules();
  const latest = useLatestExecutions(15);
  const { may } = useMay("editor");
  const attention = useAttention();
  const navigate = useNavigate();
  useKeys(
    "Now",
    (attention.data ?? []).slice(0, 9).map((item, index) => ({
      keys: String(index + 1),
      text: `Open: ${item.says}`,
      run: () => void navigate({ to: pageOf(item) ?? "/attention" }),
    })),
  );
  const isNew = rules.data?.every((rule) => rule.managed) && latest.data?.length === 0;
  if (isNew && may && !offered.welcome) {
    offered.welcome = true;
    return <Navigate to="/welcome" replace />;
  }
  return (
    <Page title="Now">
      <NowAttention />
      <div className="now-grid">
        <Running />
        <Next rules={rules.data ?? []} />
      </div>
      <section className="card">
        <header>
          <h2 className="grow">Recent executions</h2>
          <LinkButton small to="/executions">
            All
          </LinkButton>
        </header>
        <Loaded
          query={latest}
          skeleton={
            <div className="now-pad">
              <Skeleton rows={8} />
            </div>
          }
        >
          {(rows) =>
            rows.length === 0 ? (
              <p className="now-pad soft">
                Nothing has run yet. {may && <Link to="/welcome">Make the first automation</Link>}
              </p>
            ) : (
              <ul>
                {rows.map((row) => (
                  <Activity key={row.id} row={row} />
                ))}
              </ul>
            )
          }
        </Loaded>
      </section>
    </Page>
  );
}

function Activity({ row }: { row: ExecutionSummary }) {
  return (
    <li>
      <Link to={`/t/${row.trace_id}`} search={{ node: row.id } as never} className="activity">
        <Time at={row.created_at} precision="ms" />
        <StateBadge mark={executionMark(row.status)} />
        <span className="mono cut activity-what">
          {row.rule_ref && <span className="soft">{row.rule_ref} → </span>}
          {row.action_ref}
        </span>
        <span className="num soft activity-ran">
          {row.duration_ms !== null ? (
            <DurationText of={row.duration_ms} />
          ) : row.started_at ? (
            <DurationText from={row.started_at} />
          ) : (
            "–"
          )}
        </span>
        <span className="mono cut soft activity-text">{row.error ?? lastLine(row.output_tail)}</span>
      </Link>
    </li>
  );
}

function Running() {
  const services = useServices();
  return (
    <section className="card">
      <header>
        <h2 className="grow">At the moment</h2>
        <LinkButton small to="/workers">
          Workers
        </LinkButton>
      </header>
      <Loaded
        query={services}
        skeleton={
          <div className="now-pad">
            <Skeleton rows={4} />
          </div>
        }
      >
        {(data) => {
          const load = loadOf(data);
          return (
            <>
              {load.down.length > 0 && (
                <div className="now-pad">
                  <Banner tone="bad">
                    {load.down.join(" and ")} {load.down.length === 1 ? "does" : "do"} not report.
                  </Banner>
                </div>
              )}
              <dl className="numbers">
                <Figure
                  name="running"
                  value={`${load.running}`}
                  aside={`of ${load.slots} slots`}
                  to="/executions?status=running,canceling"
                />
                <Figure
                  name="waiting"
                  value={`${load.ready + load.waiting}`}
                  aside={load.ready + load.waiting > 0 ? `oldest ${duration(load.oldestSeconds * 1000)}` : "none"}
                  to="/executions?status=waiting,scheduled"
                  tone={load.oldestSeconds > 60 ? "late" : undefined}
                />
                <Figure
                  name="events to evaluate"
                  value={`${load.eventsPending}`}
                  aside={load.quarantined > 0 ? `${load.quarantined} quarantined` : "none quarantined"}
                  to="/events"
                  tone={load.quarantined > 0 ? "late" : undefined}
                />
                <Figure
                  name="timers late by at most"
                  value={load.maxLatenessMs === undefined ? "–" : duration(load.maxLatenessMs)}
                  aside="last minute"
                  to="/timers"
                />
              </dl>
            </>
          );
        }}
      </Loaded>
    </section>
  );
}

function Figure({
  name,
  value,
  aside,
  to,
  tone,
}: {
  name: string;
  value: string;
  aside: string;
  to: string;
  tone?: "late" | undefined;
}) {
  const [path = "", query = ""] = to.split("?");
  return (
    <Link to={path} search={Object.fromEntries(new URLSearchParams(query)) as never} className="number">
      <dt className="meta">{name}</dt>
      <dd>
        <span className={`number-value num ${tone ? `tone-${tone}` : ""}`}>{value}</span>{" "}
        <span className="meta">{aside}</span>
      </dd>
    </Link>
  );
}

function Next({ rules }: { rules: Rule[] }) {
  const timers = useTimers();
  const now = useNow(1);
  return (
    <section className="card">
      <header>
        <h2 className="grow">Next</h2>
        <LinkButton small to="/calendar">
          Calendar
        </LinkButton>
      </header>
      <Loaded
        query={timers}
        skeleton={
          <div className="now-pad">
            <Skeleton rows={4} />
          </div>
        }
      >
        {(data) => {
          const next = upcoming(data, rules, now, 6);
          if (next.length === 0) return <p className="now-pad soft">No timer is due.</p>;
          return (
            <ul className="next">
              {next.map((each) => (
                <li key={each.ref}>
                  <Link to={`/timers/${each.ref}`} className="next-row">
                    <span className="num next-at">
                      <Countdown at={each.at} />
                    </span>
                    <span className="mono cut">{each.ref}</span>
                    <span className="soft cut">{starts(each.starts)}</span>
                  </Link>
                </li>
              ))}
            </ul>
          );
        }}
      </Loaded>
    </section>
  );
}

function Countdown({ at }: { at: string }): ReactNode {
  return (
    <>
      <Glyph name="open" tone="wait" size={12} /> <Time at={at} show="relative" />
    </>
  );
}

function starts(actions: string[]): ReactNode {
  if (actions.length === 0) return "no rule uses it";
  return actions.length === 1 ? <span className="mono">→ {actions[0]}</span> : `→ ${actions.length} rules`;
}
