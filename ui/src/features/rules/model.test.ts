import { describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import {
  conditionOf,
  emptyClause,
  emptyGroup,
  formOf,
  guarded,
  type Json,
  move,
  OPERATORS,
  positions,
  replace,
  undecidedIn,
} from "./condition";
import { bodyOf, draftOfBody, draftOfRule, emptyRule, pathsOf } from "./draft";
import { clauseWords, conditionWords, groupVerdicts, limitWords, verdictOf } from "./words";

/** A small generator with a fixed seed, so that a failure can be repeated. */
function generator(seed: number) {
  let state = seed;
  const next = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  const pick = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)] as T;
  const values: Json[] = [
    1,
    -2.5,
    0,
    true,
    false,
    null,
    "DE",
    "",
    " x ",
    "1",
    "true",
    "null",
    "[1]",
    'a "b"',
    "{}",
    ["a", 1],
    { a: [1, { b: null }] },
    "line\nbreak",
  ];
  const node = (depth: number): Json => {
    const kind = depth === 0 ? "clause" : pick(["all", "any", "not", "items", "clause", "clause"]);
    if (kind === "all" || kind === "any")
      return { [kind]: Array.from({ length: Math.floor(next() * 4) }, () => node(depth - 1)) };
    if (kind === "not") return { not: node(depth - 1) };
    const out: { [key: string]: Json } = {
      path: pick(["payload.total", "payload.items[0].x", 'payload["a.b"]', "item.status"]),
    };
    if (kind === "items") {
      out.operator = pick(["any_item", "every_item"]);
      out.value = node(depth - 1);
    } else {
      out.operator = pick(OPERATORS.slice(0, 17));
      if (next() > 0.2) out.value = pick(values);
      if (next() > 0.7) out.ignore_case = pick([true, false]);
    }
    if (next() > 0.6) out.missing = pick<Json>([true, false, "fail"]);
    return out;
  };
  return { node, next };
}

describe("condition form", () => {
  it("round-trips 200 generated conditions through the form and YAML", () => {
    const { node } = generator(20_261_130);
    for (let i = 0; i < 200; i += 1) {
      const condition = node(4);
      const form = formOf(condition);
      expect(form.mode, JSON.stringify(condition)).toBe("tree");
      expect(conditionOf(form)).toEqual(condition);
      expect(conditionOf(formOf(parse(stringify(conditionOf(form)))))).toEqual(condition);
    }
  });

  it("keeps null and expressions", () => {
    expect(conditionOf(formOf(null))).toBeNull();
    expect(conditionOf(formOf("event.payload.a == 1"))).toBe("event.payload.a == 1");
  });

  it.each([
    [{ path: "payload.a", operator: "sounds_like", value: 1 }, "sounds_like"],
    [{ all: [{ path: "payload.a", operator: "equals", value: 1, weight: 2 }] }, "weight"],
    [{ all: [], any: [] }, "any"],
    [{ path: "payload.a", operator: "exists", missing: "maybe" }, "missing"],
  ])("leaves %j to YAML and says why", (condition, word) => {
    const form = formOf(condition);
    expect(form).toMatchObject({ mode: "yaml", why: expect.stringContaining(word) });
    expect(conditionOf(form)).toEqual(condition);
  });

  it("changes, moves and removes nodes by id", () => {
    const a = emptyClause("payload.a");
    const b = emptyClause("payload.b");
    const inner = emptyGroup("any", [b]);
    const root = emptyGroup("all", [a, inner]);
    expect(positions(root).get(b.id)).toBe("all[1].any[0]");
    expect(move(root, inner.id, -1)).toMatchObject({ items: [{ id: inner.id }, { id: a.id }] });
    expect(replace(root, b.id, () => undefined)).toMatchObject({ items: [{ id: a.id }, { id: inner.id, items: [] }] });
    expect(replace(root, a.id, (n) => ({ ...n, path: "x" }) as typeof a)).toMatchObject({ items: [{ path: "x" }, {}] });
  });
});

describe("a clause that cannot be decided", () => {
  it("is found by the server's reason and decided by one change", () => {
    const clause = emptyClause("payload.total");
    const root = emptyGroup("all", [emptyClause("payload.a"), clause]);
    const ids = undecidedIn(root, "condition.all[1] cannot be decided: event.payload.total is missing in the event");
    expect(ids).toEqual([clause.id]);
    expect(conditionOf({ mode: "tree", root: guarded(root, ids) })).toMatchObject({
      all: [{ path: "payload.a" }, { path: "payload.total", missing: false }],
    });
    expect(undecidedIn(root, "the limit is reached")).toEqual([]);
  });
});

describe("draft", () => {
  it("round-trips a rule through YAML", () => {
    const draft = {
      ...emptyRule({ trigger: "acme.order", action: "core.echo" }),
      ref: "acme.big",
      params: { message: "big {{ event.payload.total }}", n: 3 },
    };
    const again = draftOfBody(parse(stringify(bodyOf(draft))));
    expect(typeof again === "string" ? again : bodyOf(again)).toEqual(bodyOf(draft));
    expect(draftOfBody({ triger: 1 })).toContain("`triger`");
    expect(draftOfBody([])).toContain("mapping");
  });
  it("reads a stored rule", () => {
    const rule = {
      ref: "a.b",
      label: "a.b",
      trigger_ref: "a.t",
      action_ref: "a.x",
      condition: null,
      action_params: null,
      enabled: false,
    } as never;
    expect(bodyOf(draftOfRule(rule))).toEqual({ ref: "a.b", trigger_ref: "a.t", action_ref: "a.x", enabled: false });
  });
  it("lists the paths of a payload", () => {
    expect(pathsOf({ total: 5, items: [{ x: "a" }], "a.b": null }).map((p) => p.path)).toEqual([
      "payload.total",
      "payload.items",
      "payload.items[0].x",
      'payload["a.b"]',
    ]);
  });
});

describe("words", () => {
  it("describes conditions", () => {
    expect(
      conditionWords({
        all: [
          { path: "payload.total", operator: "greater_than", value: 100 },
          {
            any: [
              { path: "payload.vip", operator: "exists" },
              { not: { path: "payload.c", operator: "in", value: ["DE"] } },
            ],
          },
        ],
      }),
    ).toBe('total is greater than 100 and (vip exists or not (c is one of ["DE"]))');
    expect(conditionWords(null)).toBeUndefined();
  });
  it("says why a clause was false", () => {
    expect(
      clauseWords({ path: "event.payload.total", operator: "greater_than", expected: 100, actual: 50, at: "all[0]" }),
    ).toBe("total is 50, must be greater than 100");
    expect(
      clauseWords({
        path: "event.payload.total",
        operator: "greater_than",
        expected: 100,
        actual: null,
        at: "",
        missing: true,
      }),
    ).toBe("total is missing from the event");
  });
  it("groups verdicts by reason", () => {
    const skip = (actual: number) =>
      verdictOf({
        decision: "skip",
        why: {
          why: "condition",
          clause: { path: "event.payload.total", operator: "greater_than", expected: 100, actual, at: "all[0]" },
        },
        enforcement_id: null,
        enforcement_status: null,
        execution_id: null,
        note: null,
        rule_id: 1,
        rule_ref: "a.b",
        rule_version: 1,
      });
    const groups = groupVerdicts([
      { eventId: "1", verdict: skip(50) },
      { eventId: "2", verdict: skip(20) },
    ]);
    expect(groups).toEqual([
      { mark: "not_matched", text: "total must be greater than 100", count: 2, eventIds: ["1", "2"] },
    ]);
  });
  it("describes limits", () => {
    expect(
      limitWords({
        rate_limit: { limit: 1, window_seconds: 60 },
        concurrency: { limit: 2, overflow: "skip" },
        retry: null,
      }),
    ).toEqual(["starts at most 1 in 60 s", "at most 2 at once; others are skipped"]);
  });
});
