import { describe, expect, test } from "vitest";
import recorded from "../../../tests/fixtures/trace.json";
import { plain } from "../../kit/sentence";
import type { Chain, Explanation } from "../../lib/schema";
import { checklist } from "./checklist";
import { buildTrace, clauseWords, limitWords, nodeIds, type Trace } from "./model";
import { narrate } from "./narrate";
import { ticks } from "./TimeAxis";

const chain = recorded.chain as unknown as Chain;
const explanation = recorded.explanation as unknown as Explanation;
const now = Date.parse("2026-11-30T20:00:00Z");

const failedTwice = chain.executions.find((execution) => execution.attempt === 2);
const attempts = new Map([
  [
    failedTwice?.id ?? "",
    [
      ["2026-11-30T19:35:42.866Z", "2026-11-30T19:35:45.910Z"],
      ["2026-11-30T19:35:47.910Z", "2026-11-30T19:35:50.930Z"],
    ].map(([started_at, ended_at], index) => ({
      attempt: index + 1,
      started_at: started_at ?? null,
      ended_at: ended_at ?? null,
      outcome: "failed",
      reason: "exit code 3",
      late_outcome: null,
      logged: true,
      worker: null,
    })),
  ],
]);

const build = (change: (chain: Chain) => Chain = (same) => same): Trace => {
  const changed = change(structuredClone(chain));
  return buildTrace(chain.trace_id, changed, explanation, attempts);
};

const words = (trace: Trace) => narrate(trace, "UTC", now).map(({ text }) => plain(text));

describe("the model of a recorded trace", () => {
  test("rules come in the order: ran, failed, did not match, disabled", () => {
    expect(build().rules.map((rule) => `${rule.ref}: ${rule.mark.word}`)).toMatchInlineSnapshot(`
      [
        "acme.fails: matched",
        "acme.fast: matched",
        "acme.limited: matched",
        "acme.render: matched",
        "acme.slow: matched",
        "acme.vip: cannot be evaluated",
        "acme.big: did not match",
        "acme.off: disabled",
      ]
    `);
  });

  test("the order of rows does not matter", () => {
    const shuffled = build((each) => ({
      ...each,
      executions: each.executions.toReversed(),
      enforcements: each.enforcements.toReversed(),
    }));
    expect(shuffled).toEqual(build());
  });

  test("it is open while an execution is, and has ended when all have", () => {
    expect(build().to).toBeUndefined();
    const ended = build((each) => ({
      ...each,
      executions: each.executions.map((execution) => ({ ...execution, status: "succeeded" as const, waiting: null })),
    }));
    expect(ended.to).toBeTypeOf("number");
    // One of its rules could not be evaluated.
    expect(ended.worst.word).toBe("could not be evaluated");
  });

  test("retries are bars with a wait between them", () => {
    const node = build()
      .rules.flatMap((rule) => rule.executions)
      .find((each) => each.id === failedTwice?.id);
    expect(node?.bars.map((bar) => bar.kind)).toEqual(["ran", "retry", "ran"]);
  });

  test("a throttled rule has its limit as the reason", () => {
    const trace = build((each) => ({
      ...each,
      executions: each.executions.filter((execution) => execution.rule_ref !== "acme.limited"),
      enforcements: each.enforcements.map((enforcement) =>
        enforcement.rule_ref === "acme.limited"
          ? { ...enforcement, status: "throttled" as const, reason: "rate_limit: 1 in 60 seconds" }
          : enforcement,
      ),
    }));
    expect(words(trace)).toContain("acme.limited matched but was throttled: limit of 1 per 60 seconds.");
  });

  test("without its event, the chain still shows its executions", () => {
    const trace = buildTrace(chain.trace_id, { ...chain, event: null }, undefined, new Map());
    expect(nodeIds(trace)).toHaveLength(chain.enforcements.length + chain.executions.length);
  });
});

test("the narrative", () => {
  expect(words(build())).toMatchInlineSnapshot(`
    [
      "At 19:35:42.835 an event for acme.order was received through the API.",
      "Its rules were evaluated 18 ms later: 5 of 8 matched.",
      "acme.fails started acme.slow. It failed after 3.0 s with exit code 3 and was retried; it failed again in attempt 2. No attempts are left.",
      "acme.fast started core.echo. It ran for 35 ms and succeeded.",
      "acme.limited started core.echo. It ran for 39 ms and succeeded.",
      "acme.render started acme.render. It is waiting: no worker serves the pool gpu.",
      "acme.slow started acme.slow. It ran for 3.0 s and succeeded.",
      "acme.vip could not be evaluated: condition.all[0] cannot be decided: event.payload.vip is missing in the event.",
      "acme.big did not match: payload.total is 50, must be greater than 100.",
      "acme.off was disabled.",
    ]
  `);
});

describe("the checklist", () => {
  const of = (ref: string) => {
    const trace = build();
    const rule = trace.rules.find((each) => each.ref === ref);
    if (!rule) throw new Error(`no rule ${ref}`);
    const { checks, next } = checklist(trace, rule);
    const broken = checks.find((check) => check.ok === false);
    return { broken: broken && `${broken.question} ${broken.fact}`, next: next?.label };
  };
  test("stops at the first broken link", () => {
    expect(of("acme.off")).toEqual({
      broken: "Rule enabled and older than the event? it is disabled",
      next: "Open the rule to enable it",
    });
    expect(of("acme.big")).toEqual({
      broken: "Condition matched? payload.total is 50, must be greater than 100",
      next: "Edit the condition",
    });
    expect(of("acme.fails")).toEqual({ broken: "Outcome? exit code 3", next: "Open the execution" });
    expect(of("acme.render")).toEqual({ broken: undefined, next: "Show the workers" });
    expect(of("acme.fast")).toEqual({ broken: undefined, next: undefined });
  });
});

test("clauses in words", () => {
  const say = (clause: Parameters<typeof clauseWords>[0]) => plain(clauseWords(clause));
  expect(say({ path: "event.payload.total", operator: "greater_than", expected: 100, actual: 50 })).toBe(
    "payload.total is 50, must be greater than 100",
  );
  expect(say({ path: "event.payload.vip", operator: "exists", expected: true })).toBe(
    "payload.vip is missing but must exist",
  );
  expect(say({ path: "event.payload.c", operator: "in", expected: ["DE", "FR"], actual: "GB" })).toBe(
    'payload.c is "GB", must be one of ["DE","FR"]',
  );
  expect(limitWords("rate_limit: 1 in 60 seconds")).toBe("limit of 1 per 60 seconds");
});

test("the axis has few round marks", () => {
  for (const span of [10, 950, 14_000, 396_000, 90_000_000]) expect(ticks(span).length).toBeLessThanOrEqual(8);
});
