// Calls the API with types that were generated from its document: client.js URL TOKEN.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const [url, token] = process.argv.slice(2);
assert(url && token, "client.js URL TOKEN");
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

// The type of an answer depends on its tag: `parameters` exists because the decision is `enforce`.
const tested = await client.POST("/api/v1/rules/test", {
  body: { condition: "event.payload.n > 5", payload: { n: 7 }, action_ref: "core.echo" },
});
const decision = tested.data?.data;
assert(decision?.decision === "enforce", JSON.stringify(tested));
assert(decision.parameters !== undefined);

const skipped = await client.POST("/api/v1/rules/test", {
  body: { condition: { path: "event.payload.n", operator: "greater_than", value: 5 }, payload: { n: 3 } },
});
const skip = skipped.data?.data;
assert(skip?.decision === "skip" && skip.why.why === "condition", JSON.stringify(skipped));
assert.equal(skip.why.clause.actual, 3);

const trigger = await client.POST("/api/v1/triggers", {
  body: { ref: "core.ts_client", kind: "timer", config: { type: "interval", seconds: 3600 } },
});
const made = trigger.data?.data;
assert(made?.kind === "timer" && made.config.type === "interval", JSON.stringify(trigger));

const fired = await client.POST("/api/v1/triggers/{ref}/fire", {
  params: { path: { ref: "core.ts_client" } },
  body: {},
});
const event = fired.data?.data;
assert(event, JSON.stringify(fired));
const params = { path: { id: event.id } };

const explained = await client.GET("/api/v1/events/{id}/explain", { params });
assert(explained.data, JSON.stringify(explained));
assert.deepEqual(explained.data.data.rules, []);

const trace = await client.GET("/api/v1/traces/{id}", { params });
assert.equal(trace.data?.data.event?.id, event.id, JSON.stringify(trace));

const invalid = await client.POST("/api/v1/rules/test", { body: { payload: {}, condition: "event.payload.n >" } });
assert.equal(invalid.error?.errors[0]?.path, "condition", JSON.stringify(invalid));
console.log("the TypeScript client works");
