import { useQuery } from "@tanstack/react-query";
import { ChevronLeft, ChevronRight } from "lucide-react";
import { Button, IconButton } from "../../kit/button";
import { TextFilter } from "../../kit/filters";
import { Choice } from "../../kit/form";
import { Page } from "../../kit/page";
import { Empty, Loaded } from "../../kit/states";
import { useUrl } from "../../kit/url";
import { saveFile } from "../../lib/file";
import { useKeys } from "../../lib/keys";
import { useLiveRefetch } from "../../lib/live";
import { date, iso, ms, useNow, useZone } from "../../lib/time";
import { listOf } from "../definitions/api";
import type { Rule } from "../rules/api";
import { Agenda } from "./Agenda";
import { calendar } from "./api";
import { DenseTimers } from "./DenseTimers";
import { Lanes } from "./Lanes";
import { Month } from "./Month";
import { type CalendarAnswer, type Item, icsOf } from "./model";
import { OutageBar, OutageResult } from "./Outage";
import { type Span, spanOf, VIEWS, type View } from "./span";

const LABELS: Record<View, string> = { day: "Day", week: "Week", month: "Month", agenda: "Agenda" };
const EACH: Record<View, number> = { day: 60, week: 100, month: 199, agenda: 60 };

export default function CalendarPage() {
  const [url, setUrl] = useUrl();
  const zone = useZone();
  const now = useNow(60);
  const view = VIEWS.find((one) => one === url.view) ?? "agenda";
  const at = url.at ?? (url.view === undefined ? "tonight" : undefined);
  const span = spanOf(view, at, now, zone);
  const go = (next: string | undefined) => setUrl({ view, at: next });
  const pick = (next: View) => setUrl({ view: next, at: at === "tonight" && next !== "agenda" ? undefined : at });
  useKeys("Calendar", [
    { keys: "t", text: "Today", run: () => go(undefined) },
    ...VIEWS.map((one) => ({ keys: one.charAt(0), text: LABELS[one], run: () => pick(one) })),
    { keys: "ArrowLeft", text: "Earlier", run: () => go(span.previous) },
    { keys: "ArrowRight", text: "Later", run: () => go(span.next) },
  ]);
  return (
    <Page title="Calendar">
      <div className="filters">
        <Choice
          label="View"
          value={view}
          options={VIEWS.map((value) => ({ value, label: LABELS[value] }))}
          onChange={pick}
        />
        <span className="row">
          <IconButton name="Earlier" icon={<ChevronLeft size={16} />} onClick={() => go(span.previous)} />
          <Button onClick={() => setUrl({ view, at: undefined })}>Today</Button>
          <Button aria-pressed={at === "tonight"} onClick={() => setUrl({ view: "agenda", at: "tonight" })}>
            Tonight
          </Button>
          <IconButton name="Later" icon={<ChevronRight size={16} />} onClick={() => go(span.next)} />
        </span>
        <h2>{titleOf(view, at, span, zone, now)}</h2>
        <span className="push" />
        <TextFilter param="pack_ref" label="Pack" width="110px" />
        <label className="row">
          <input
            type="checkbox"
            checked={url.rules !== "all"}
            onChange={(event) => setUrl({ rules: event.target.checked ? undefined : "all" })}
          />{" "}
          only with rules
        </label>
      </div>
      <OutageBar span={span} />
      <Shown view={view} span={span} zone={zone} />
    </Page>
  );
}

function titleOf(view: View, at: string | undefined, span: Span, zone: string, now: number): string {
  if (at === "tonight") return "Now until tomorrow 08:00";
  const first = date(span.from, zone, now);
  if (view === "day" || view === "agenda") return first;
  return `${first} to ${date(span.to - 1, zone, now)}`;
}

function Shown({ view, span, zone }: { view: View; span: Span; zone: string }) {
  const [url] = useUrl();
  const options = calendar({
    from: iso(span.from),
    to: iso(span.to),
    pack_ref: url.pack_ref,
    down: url.down,
    max_each: EACH[view],
  });
  const query = useQuery(options);
  const rules = useQuery(listOf<Rule>("rules"));
  useLiveRefetch(["occurrences"], { kinds: ["timer", "definition"], every: 10_000 });
  const used = url.rules === "all" ? undefined : rulesByTrigger(rules.data?.items);
  return (
    <Loaded query={query}>
      {(answer) => {
        const seen = (ref: string) => used === undefined || used.has(ref);
        const items = answer.occurrences
          .filter((one) => seen(one.trigger_ref))
          .map((one): Item => ({ ...one, at: ms(one.scheduled_at) }));
        const dense = answer.dense.filter((one) => seen(one.trigger_ref));
        return (
          <Parts
            view={view}
            span={span}
            zone={zone}
            answer={answer}
            items={items}
            dense={dense}
            rules={rulesByTrigger(rules.data?.items) ?? new Map()}
          />
        );
      }}
    </Loaded>
  );
}

function rulesByTrigger(rules: readonly Rule[] | undefined): Map<string, Rule[]> | undefined {
  if (rules === undefined) return undefined;
  const map = new Map<string, Rule[]>();
  for (const rule of rules) {
    if (rule.enabled) map.set(rule.trigger_ref, [...(map.get(rule.trigger_ref) ?? []), rule]);
  }
  return map;
}

interface PartsProps {
  view: View;
  span: Span;
  zone: string;
  answer: CalendarAnswer;
  items: Item[];
  dense: CalendarAnswer["dense"];
  rules: Map<string, Rule[]>;
}

function Parts({ view, span, zone, answer, items, dense, rules }: PartsProps) {
  const stamp = (at: number) => iso(at).replace(/[-:]|\.\d+/g, "");
  return (
    <>
      <OutageResult answer={answer} items={items} />
      {items.length === 0 ? (
        <Empty
          text={
            dense.length > 0 ? "Only timers that fire often are due in this range." : "No timer fires in this range."
          }
        />
      ) : view === "agenda" ? (
        <Agenda items={items} zone={zone} rules={rules} />
      ) : view === "month" ? (
        <Month items={items} span={span} zone={zone} />
      ) : (
        <Lanes items={items} span={span} zone={zone} week={view === "week"} />
      )}
      <DenseTimers dense={dense} truncated={answer.truncated} />
      {items.length > 0 && (
        <span>
          <Button small onClick={() => saveFile("attune.ics", icsOf(items, stamp))}>
            Export as iCalendar
          </Button>
        </span>
      )}
    </>
  );
}
