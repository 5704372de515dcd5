import { eventually, expect, order, seed, signIn, test } from "./support";

const SCHEMA = {
  type: "object",
  required: ["host"],
  properties: {
    host: { type: "string", description: "Where it runs" },
    count: { type: "integer", minimum: 1, maximum: 10 },
    mode: { type: "string", enum: ["fast", "slow"] },
    dry: { type: "boolean", default: true },
    tags: { type: "array", items: { type: "string" } },
    items: { type: "array", items: { type: "object", required: ["host"], properties: { host: { type: "string" } } } },
    opts: { type: "object", properties: { level: { type: "number" } } },
    env: { type: "object", additionalProperties: { type: "string" } },
    token: { type: "string", writeOnly: true },
    anything: {},
  },
  additionalProperties: false,
};

test.beforeAll(async ({ server }) => {
  await seed(server);
  await order(server, 50);
  await order(server, 250);
});

test("verdicts say why a rule ran and why it did not", async ({ page, server }) => {
  await signIn(page, server, "/rules/acme.big?tab=verdicts");
  const table = page.getByRole("table", { name: "Verdicts" });
  await expect(table).toContainText("total is 50, must be greater than 100");
  await expect(table).toContainText("matched and started an execution");
  await page.getByRole("button", { name: "by reason" }).click();
  await expect(page.getByText("total must be greater than 100")).toBeVisible();
  await page.goto(`${server.url}/rules/acme.vip?tab=verdicts`);
  await expect(table).toContainText("vip is missing");
});

test("a clause that cannot be evaluated is fixed with one click (W24)", async ({ page, server }) => {
  await signIn(page, server, "/rules/acme.vip/edit");
  const panel = page.getByRole("region", { name: "Test" });
  await expect(panel).toContainText("cannot be evaluated");
  await panel.getByRole("button", { name: "Require that the field exists" }).click();
  await expect(panel).toContainText("does not match");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page).toHaveURL(/\/rules\/acme\.vip$/);
  const rule = await server.api<{ condition: { all: { missing?: boolean }[] } }>("GET", "/api/v1/rules/acme.vip");
  expect(rule.condition.all[0]?.missing).toBe(false);
});

test("form and YAML of a rule show the same, and YAML keeps what the form cannot show (W23)", async ({
  page,
  server,
}) => {
  await signIn(page, server, "/rules/new?trigger=acme.order&action=core.echo");
  await page.getByLabel("Ref", { exact: true }).fill("acme.fresh");
  await page.getByRole("button", { name: "Add a condition" }).click();
  await page.getByLabel("Path").fill("payload.total");
  await page.getByLabel("Operator").selectOption("greater_than");
  await page.getByLabel("Value", { exact: true }).fill("100");
  await page.getByLabel("message").fill("order {{ event.payload.total }}");
  const panel = page.getByRole("region", { name: "Test" });
  await expect(panel).toContainText("order 250");
  await page.getByRole("button", { name: "YAML" }).click();
  const yaml = page.getByLabel("Definition");
  await expect(yaml).toHaveValue(/operator: greater_than\n\s+value: 100/);
  await yaml.fill((await yaml.inputValue()).replace("greater_than", "sounds_like"));
  await page.getByRole("button", { name: "Form" }).click();
  await expect(page.getByText(/the form does not know the operator `sounds_like`/)).toBeVisible();
  await page.getByRole("button", { name: "YAML" }).click();
  await yaml.fill((await yaml.inputValue()).replace("sounds_like", "greater_than"));
  await page.getByRole("button", { name: "Create rule" }).click();
  await expect(page).toHaveURL(/\/rules\/acme\.fresh$/);
  const rule = await server.api<{ condition: unknown }>("GET", "/api/v1/rules/acme.fresh");
  expect(rule.condition).toEqual({ all: [{ path: "payload.total", operator: "greater_than", value: 100 }] });
});

test("a draft survives a reload", async ({ page, server }) => {
  await signIn(page, server, "/rules/acme.big/edit");
  await page.getByLabel("Label").fill("Large orders");
  await expect(page.getByText("unsaved changes")).toBeVisible();
  const stored = () => page.evaluate(() => JSON.stringify({ ...sessionStorage }).includes("Large orders"));
  await expect.poll(stored).toBe(true);
  await page.reload();
  await expect(page.getByText("Your unsaved draft was restored.")).toBeVisible();
  await expect(page.getByLabel("Label")).toHaveValue("Large orders");
  await page.getByRole("button", { name: "Discard draft" }).click();
  await expect(page.getByLabel("Label")).not.toHaveValue("Large orders");
});

test("the form of an action follows its schema, and errors are shown at their field (W27)", async ({
  page,
  server,
}) => {
  const action = {
    ref: "acme.form",
    runtime_ref: "core.shell",
    entry_point: 'echo "on $host"',
    parameters_schema: SCHEMA,
  };
  await server.api("POST", "/api/v1/actions", action);
  await signIn(page, server, "/actions/acme.form");
  for (const label of ["tags", "anything", "token"]) await expect(page.getByLabel(label)).toBeVisible();
  await expect(page.getByLabel("token")).toHaveAttribute("type", "password");
  await page.getByLabel("host").fill("alpha");
  await page.getByRole("textbox", { name: /^count/ }).fill("50");
  const items = page.getByRole("group", { name: "items" });
  await items.getByRole("button", { name: "Add" }).click();
  await page.getByRole("button", { name: "Run", exact: false }).and(page.locator("[type=submit]")).click();
  await expect(page.getByRole("textbox", { name: /^count/ })).toHaveAttribute("aria-invalid", "true");
  await expect(items.getByRole("textbox", { name: "host" })).toHaveAttribute("aria-invalid", "true");
  await page.getByRole("textbox", { name: /^count/ }).fill("5");
  await items.getByRole("textbox", { name: "host" }).fill("beta");
  await expect(page.getByTitle("Copy the command")).toContainText("attune run acme.form host=alpha");
  await page.locator("[type=submit]").click();
  const result = page.getByRole("region", { name: "Result" });
  await expect(result).toContainText("succeeded");
  await expect(result).toContainText("on alpha");
});

test("the inbox shows why a request was rejected, and a secret is shown once", async ({ page, server }) => {
  const config = { verify: "github", secret: "long enough" };
  const hook = await server.api<{ webhook_url: string }>("POST", "/api/v1/triggers", {
    ref: "acme.github",
    kind: "webhook",
    config,
  });
  const rejected = await fetch(hook.webhook_url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"a":1}',
  });
  expect(rejected.status).toBe(401);
  await eventually(
    () => server.api<unknown[]>("GET", "/api/v1/webhook-requests?trigger_ref=acme.github"),
    (all) => all.length > 0,
  );
  await signIn(page, server, "/webhooks/inbox?trigger_ref=acme.github");
  await expect(page.getByRole("region", { name: "Processing" })).toContainText(
    "The header x-hub-signature-256 is missing.",
  );
  await page.goto(`${server.url}/webhooks/acme.github?tab=secrets`);
  await page.getByRole("button", { name: "Rotate the secret …" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Rotate the secret" }).click();
  await expect(dialog).toContainText("It is not shown again.");
  await page.keyboard.press("Escape");
  await expect(dialog).toBeVisible();
  await dialog.getByLabel("I have stored it").check();
  await dialog.getByRole("button", { name: "Close" }).click();
  await expect(dialog).toBeHidden();
});

test("a viewer sees everything and is offered nothing that would be refused (W04)", async ({ page, server }) => {
  await server.api("POST", "/api/v1/identities", { login: "vera", password: "a long password", role: "viewer" });
  await page.goto(`${server.url}/timers`);
  await page.getByLabel("Login").fill("vera");
  await page.getByLabel("Password", { exact: true }).fill("a long password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("table", { name: "Timers" })).toBeVisible();
  await expect(page.getByRole("switch").first()).toBeDisabled();
  await expect(page.getByRole("link", { name: "New timer" })).toHaveCount(0);
  await page.goto(`${server.url}/audit`);
  await expect(page.getByText(/This needs the role admin; vera has viewer/)).toBeVisible();
  await page.goto(`${server.url}/rules/acme.big/edit`);
  await expect(page.getByRole("button", { name: "Save" })).toBeDisabled();
});
