import { axe, eventually, expect, order, seed, signIn, test } from "./support";

test.use({ file: "trace" });

interface Execution {
  id: string;
  status: string;
  rule_ref: string | null;
}

test.beforeAll(async ({ server }) => {
  await seed(server);
  // The first event uses up the limit of acme.limited.
  await order(server, 20);
});

test("every verdict has its reason, in the graph and in words (W05)", async ({ page, server }) => {
  const event = await order(server, 50);
  await eventually(
    () => server.api<Execution[]>("GET", `/api/v1/executions?event_id=${event.id}`),
    (all) => all.length === 2 && all.every((each) => ["succeeded", "failed"].includes(each.status)),
  );
  await signIn(page, server, `/t/${event.trace_id}`);
  const graph = page.getByRole("tree");
  await expect(graph).toContainText("payload.total is 50, must be greater than 100");
  await expect(graph).toContainText("is disabled");
  await expect(graph).toContainText("limit of 1 per 3600 seconds");
  await expect(graph).toContainText("event.payload.vip is missing in the event");
  await expect(graph).toContainText("exit code 3");

  await page.getByRole("button", { name: "Words" }).click();
  await expect(page).toHaveURL(/view=words/);
  const words = (await page.locator(".words-line").allInnerTexts()).map((line) =>
    line
      .replace(/^\d+\n/, "")
      .replace(/\d\d:\d\d:\d\d\.\d{3}/, "TIME")
      .replace(/\d+(\.\d)? (ms|s)\b(?! )/g, "LENGTH")
      .replace(/\d+(\.\d)? (ms|s) (later|with|and)/g, "LENGTH $3"),
  );
  expect(words).toEqual([
    "At TIME an event for acme.order was received through the API.",
    "Its rules were evaluated LENGTH later: 3 of 6 matched.",
    "acme.fails started acme.slow. It failed after LENGTH with exit code 3 and was retried; it failed again in attempt 2. No attempts are left.",
    "acme.fast started core.echo. It ran for LENGTH and succeeded.",
    "acme.limited matched but was throttled: limit of 1 per 3600 seconds.",
    "acme.vip could not be evaluated: condition.all[0] cannot be decided: event.payload.vip is missing in the event.",
    "acme.big did not match: payload.total is 50, must be greater than 100.",
    "acme.off was disabled.",
  ]);

  await page.locator(".words-line").nth(6).click();
  await page.getByRole("tab", { name: "Why" }).click();
  await expect(page.getByRole("listitem").filter({ hasText: "Condition matched?" })).toContainText(
    "payload.total is 50",
  );
  await expect(page.getByRole("link", { name: "Edit the condition" })).toBeVisible();
  expect(await axe(page)).toEqual([]);
});

test("a trace that is open grows to its end without a reload (W06)", async ({ page, server }) => {
  await signIn(page, server, "/executions");
  const event = await order(server, 500);
  await page.goto(`${server.url}/t/${event.trace_id}`);
  const cards = page.getByRole("treeitem", { level: 3 });
  await expect(cards.filter({ hasText: "exit code 3" })).toHaveCount(1, { timeout: 30_000 });
  await expect(cards).toHaveCount(3);
  await expect(page).toHaveTitle(/^✕/);
});

test("running again appears in the same trace (W08)", async ({ page, server }) => {
  const run = await server.api<{ id: string; trace_id: string }>("POST", "/api/v1/executions", {
    action_ref: "core.echo",
    parameters: { message: "once" },
  });
  await signIn(page, server, `/t/${run.trace_id}`);
  const cards = page.getByRole("treeitem", { level: 3 });
  await expect(cards.filter({ hasText: "succeeded" })).toHaveCount(1);
  await page.getByRole("button", { name: /^Run again/ }).click();
  await page.getByRole("menuitem", { name: /core.echo/ }).click();
  await expect(cards.filter({ hasText: "succeeded" })).toHaveCount(2);
  await expect(cards.filter({ hasText: "run again" })).toHaveCount(1);
  await cards.first().click();
  await expect(page.getByRole("region", { name: "Output" })).toContainText("once");
});

test("any id leads to its trace, an unknown one to a page that says so (W11)", async ({ page, server }) => {
  const event = await order(server, 60);
  const [execution] = await eventually(
    () => server.api<Execution[]>("GET", `/api/v1/executions?event_id=${event.id}`),
    (all) => all.length > 0,
  );
  const [enforcement] = await server.api<{ id: string }[]>("GET", `/api/v1/enforcements?event_id=${event.id}`);
  await signIn(page, server, `/go/${event.id}`);
  await expect(page).toHaveURL(new RegExp(`/t/${event.id}$`));
  for (const id of [execution?.id, enforcement?.id]) {
    await page.goto(`${server.url}/go/${id}`);
    await expect(page).toHaveURL(new RegExp(`/t/${event.id}\\?node=${id}`));
    await expect(page.getByRole("region", { name: "Selected" })).toBeVisible();
  }
  await page.goto(`${server.url}/go/01a22df4-0000-7000-8000-000000000000`);
  await expect(page.getByRole("alert")).toContainText("Nothing has the id");
});

test("the graph can be walked with the keyboard alone", async ({ page, server }) => {
  const event = await order(server, 70);
  await signIn(page, server, `/t/${event.trace_id}`);
  await page.getByRole("treeitem").first().focus();
  await page.keyboard.press("ArrowDown");
  await expect(page.getByRole("treeitem", { name: /^Rule acme.fails/ })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("region", { name: "Selected" })).toBeVisible();
  await page.keyboard.press("v");
  await expect(page).toHaveURL(/view=time/);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("region", { name: "Selected" })).toHaveCount(0);
});
