import { expect, signIn, test } from "./support";

test.use({ file: "session" });

test("a wrong password says so, and a deep link opens after signing in", async ({ page, server }) => {
  await page.goto(`${server.url}/executions?status=failed`);
  await page.getByLabel("Login").fill("admin");
  await page.getByLabel("Password", { exact: true }).fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toContainText("Incorrect login or password.");
  await page.getByLabel("Password", { exact: true }).fill(server.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Executions" })).toBeVisible();
  await expect(page).toHaveURL(/status=failed/);
});

test("nothing that signs in is where scripts can read it (W40)", async ({ page, server }) => {
  await signIn(page, server);
  const cookies = await page.context().cookies();
  const mine = cookies.filter((cookie) => cookie.name.includes("attune"));
  expect(mine.length).toBeGreaterThan(0);
  for (const cookie of mine) expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict" });
  const readable = await page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]),
  );
  for (const cookie of cookies) expect(readable).not.toContain(cookie.value);
  const status = await page.evaluate(async () => {
    const response = await fetch("api/v1/executions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    return response.status;
  });
  expect(status).toBe(403);
});

test("signing out in one tab signs out the others; all tabs share one stream (W35)", async ({
  page,
  server,
  context,
}) => {
  await signIn(page, server, "/executions");
  await expect(page.getByRole("button", { name: /live/ })).toBeVisible();
  const streams: string[] = [];
  context.on("request", (request) => {
    if (request.url().includes("/api/v1/stream")) streams.push(request.url());
  });
  const tabs = [await context.newPage(), await context.newPage()];
  for (const tab of tabs) {
    await tab.goto(`${server.url}/executions`);
    await expect(tab.getByRole("button", { name: /live/ })).toBeVisible();
  }
  expect(streams).toEqual([]);
  await page.close();
  await expect.poll(() => streams.length).toBe(1);

  await tabs[0]?.getByRole("button", { name: /Account of/ }).click();
  await tabs[0]?.getByRole("menuitem", { name: "Sign out" }).click();
  for (const tab of tabs) await expect(tab.getByRole("button", { name: "Sign in" })).toBeVisible();
});

test("when the session ends, a sheet asks for the password and the page stays (W26, W42)", async ({
  page,
  server,
  context,
}) => {
  await signIn(page, server, "/settings/me");
  await page.getByLabel("Current password").fill("half typed");
  await context.clearCookies();
  await page.evaluate(() => dispatchEvent(new Event("focus")));
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("core");
  const sheet = page.getByRole("dialog", { name: "Your session has ended" });
  await expect(sheet).toBeVisible();
  await sheet.getByLabel("Password", { exact: true }).fill(server.password);
  await sheet.getByRole("button", { name: "Sign in" }).click();
  await expect(sheet).toBeHidden();
  await expect(page.getByLabel("Current password")).toHaveValue("half typed");
});

test("the server is killed and comes back: live again without a reload (W36)", async ({ page, server }) => {
  await signIn(page, server, "/executions");
  await page.evaluate(() => Object.assign(globalThis, { kept: true }));
  await server.kill();
  await expect(page.getByRole("button", { name: /reconnecting/ })).toBeVisible();
  await expect(page.getByText("Attune has not answered for")).toBeVisible({ timeout: 30_000 });
  await server.restart();
  await expect(page.getByRole("button", { name: /live/ })).toBeVisible({ timeout: 45_000 });
  await expect(page.getByText("Attune has not answered for")).toBeHidden();
  await server.api("POST", "/api/v1/executions", { action_ref: "core.echo", parameters: { message: "after" } });
  await expect(page.getByRole("table", { name: "Executions" })).toContainText("message=after");
  expect(await page.evaluate(() => "kept" in globalThis)).toBe(true);
});
