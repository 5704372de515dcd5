import { axe, eventually, expect, order, seed, signIn, test } from "./support";

test.use({ file: "executions" });

interface Execution {
  id: string;
  status: string;
}

test.beforeAll(async ({ server }) => {
  await seed(server);
  for (const total of [20, 50, 150]) await order(server, total);
  await eventually(
    () => server.api<Execution[]>("GET", "/api/v1/executions?status=failed"),
    (failed) => failed.length === 3,
  );
});

test("filters are in the address, and a new browser shows the same (W31)", async ({ page, server, browser }) => {
  await signIn(page, server, "/executions");
  await page.getByRole("button", { name: "Problems, 24 h" }).click();
  await expect(page).toHaveURL(/status=failed,timed_out,lost&since=-24h/);
  const rows = page.getByRole("table", { name: "Executions" }).locator("tbody tr");
  await expect(rows).toHaveCount(3);
  await page.getByLabel("rule").fill("acme.none");
  await expect(page.getByRole("alert")).toContainText("rule acme.none not found");
  await page.getByLabel("rule").fill("acme.fails");
  await expect(rows).toHaveCount(3);
  const address = page.url();

  const other = await browser.newContext();
  const second = await other.newPage();
  await signIn(second, server, address.slice(server.url.length));
  await expect(second.getByRole("table", { name: "Executions" }).locator("tbody tr")).toHaveCount(3);
  await other.close();
});

test("going back restores the filter; keys move, open and select (W30)", async ({ page, server }) => {
  await signIn(page, server, "/executions?status=failed");
  const rows = page.getByRole("table", { name: "Executions" }).locator("tbody tr");
  await expect(rows).toHaveCount(3);
  await rows.first().focus();
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await expect(page.getByRole("toolbar", { name: "Selected executions" })).toContainText("1 selected");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/executions\/[0-9a-f-]{36}$/);
  await page.goBack();
  await expect(page).toHaveURL(/status=failed/);
  await expect(rows).toHaveCount(3);
});

test("new rows wait while something is selected (W30)", async ({ page, server }) => {
  await signIn(page, server, "/executions?action_ref=core.echo");
  const rows = page.getByRole("table", { name: "Executions" }).locator("tbody tr");
  await expect(rows.first()).toBeVisible();
  const before = await rows.count();
  await rows.first().getByRole("checkbox").click();
  await server.api("POST", "/api/v1/executions", { action_ref: "core.echo", parameters: { message: "new" } });
  const pill = page.getByRole("button", { name: /1 new/ });
  await expect(pill).toBeVisible();
  expect(await rows.count()).toBe(before);
  await pill.click();
  await expect(rows).toHaveCount(before + 1);
  await expect(rows.first()).toContainText("message=new");
});

test("the log shows colours, finds, links to lines and has one tab per attempt (W32, W34)", async ({
  page,
  server,
}) => {
  const [execution] = await server.api<Execution[]>("GET", "/api/v1/executions?status=failed&limit=1");
  await signIn(page, server, `/executions/${execution?.id}`);
  await expect(page).toHaveTitle(/^✕ failed · acme.slow/);
  const output = page.getByRole("region", { name: "Output" });
  await expect(output).toContainText("line 3");
  await expect(output.locator(".ansi-green").first()).toHaveText("line");
  await expect(output.locator(".stderr")).toContainText("stderr");
  await expect(page.getByText("— exited with code 3 after")).toBeVisible();

  await page.keyboard.press("/");
  await page.keyboard.type("line");
  await expect(page.getByRole("status").filter({ hasText: "of 3" })).toBeVisible();
  await page.keyboard.press("Escape");

  await page.getByRole("button", { name: "Line 2", exact: true }).click();
  await expect(page).toHaveURL(/#L2$/);
  await page.reload();
  await expect(output.locator(".chosen")).toContainText("line 2");

  await page.getByRole("group", { name: "Attempt" }).getByRole("button", { name: "1" }).click();
  await expect(page).toHaveURL(/attempt=1/);
  await expect(output).toContainText("line 3");
  await page.getByRole("tab", { name: /Attempts/ }).click();
  await expect(page.getByRole("tabpanel").getByText("exit code 3")).toHaveCount(2);
  expect(await axe(page)).toEqual([]);
});

test("a long log is quick, and its end is there (W32)", async ({ page, server }) => {
  await server.api("POST", "/api/v1/actions", {
    ref: "acme.long",
    pack_ref: "acme",
    entry_kind: "text",
    runtime_ref: "core.shell",
    entry_point: "seq -f 'row %g' 1 20000; echo the end",
  });
  const run = await server.api<Execution>("POST", "/api/v1/executions", { action_ref: "acme.long", parameters: {} });
  await eventually(
    () => server.api<Execution>("GET", `/api/v1/executions/${run.id}`),
    (now) => now.status === "succeeded",
  );
  await signIn(page, server, `/executions/${run.id}`);
  await expect(page.getByText("— exited with code 0")).toBeVisible();
  await page.getByRole("button", { name: "Go to the end" }).click();
  await expect(page.getByRole("region", { name: "Output" })).toContainText("the end");
  expect(await page.locator(".log-line").count()).toBeLessThan(150);
});

test("running again with other parameters, and canceling", async ({ page, server }) => {
  const run = await server.api<Execution>("POST", "/api/v1/executions", {
    action_ref: "core.sleep",
    parameters: { seconds: 60 },
  });
  await signIn(page, server, `/executions/${run.id}`);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel it" }).click();
  await expect(page.getByRole("heading", { name: /canceled/ })).toBeVisible();
  await page.getByRole("button", { name: /^Run again/ }).click();
  await page.getByRole("menuitem", { name: /Edit the parameters/ }).click();
  await page.getByLabel("Parameters").fill('{"seconds": -1}');
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect(page.getByRole("alert")).toContainText("seconds");
  await page.getByLabel("Parameters").fill('{"seconds": 0}');
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect(page.getByRole("heading", { name: /succeeded/ })).toBeVisible();
});
