import { expect, signIn, test } from "./support";

test("the form previews clock changes as the server computes them (W14)", async ({ page, server }) => {
  await signIn(page, server, "/timers/new?kind=cron");
  const preview = page.getByRole("region", { name: "Preview" });
  await page.getByLabel("Time zone").fill("Europe/Berlin");
  await expect(preview).toContainText("Sun 28 Mar 03:00:00 +02:00");
  await expect(preview).toContainText("the clocks skip the planned time; fires at 03:00");
  await page.getByRole("radio", { name: /^Skip/ }).first().check();
  await expect(preview).not.toContainText("Sun 28 Mar 03:00:00");
  await expect(preview).toContainText("Mon 29 Mar 02:30:00 +02:00");
  await page.getByLabel("Time zone").fill("Europe/Berlinx");
  await expect(page.getByText("is not an IANA zone")).toBeVisible();
});

test("each error is shown at its field, and the first one gets the focus (W15)", async ({ page, server }) => {
  await signIn(page, server, "/timers/new?kind=cron");
  await page.getByLabel("Ref", { exact: true }).fill("nopack.x");
  await page.getByLabel("Expression").fill("30 2 31 2 *");
  await page.getByLabel("Time zone").fill("Europe/Berlinx");
  await page.getByLabel("On time up to (seconds late)").fill("many");
  await page.getByRole("button", { name: "Create timer" }).click();
  await expect(page.getByText("never occurs")).toBeVisible();
  await expect(page.getByText("is not an IANA zone")).toBeVisible();
  const expression = page.getByLabel("Expression");
  await expect(expression).toHaveAttribute("aria-invalid", "true");
  const described = await expression.getAttribute("aria-describedby");
  await expect(page.locator(`[id="${described?.split(" ")[0]}"]`)).toContainText("never occurs");
  await expect(page.locator('[aria-invalid="true"]').first()).toBeFocused();
});

test("quick typing sends at most three requests, and the last response counts (W16)", async ({ page, server }) => {
  await signIn(page, server, "/timers/new?kind=cron");
  const preview = page.getByRole("region", { name: "Preview" });
  await page.getByLabel("Time zone").fill("UTC");
  await expect(preview).toContainText("02:30:00");
  let requests = 0;
  // The first answer arrives after the second one.
  await page.route("**/timers/preview", async (route) => {
    requests += 1;
    if (requests === 1) await new Promise((done) => setTimeout(done, 1_500));
    await route.continue().catch(() => undefined);
  });
  const field = page.getByLabel("Expression");
  await field.fill("");
  await field.pressSequentially("15 7 * * MON,TUE,WED,THU,FRI", { delay: 20 });
  await expect(preview).toContainText("07:15:00");
  await page.waitForTimeout(2_000);
  await expect(preview).toContainText("07:15:00");
  expect(requests).toBeLessThanOrEqual(3);
});

test("a timer is created, disabled with undo, and shows what it fired (W22)", async ({ page, server }) => {
  await server.api("POST", "/api/v1/packs", { ref: "clock" });
  await signIn(page, server, "/timers/new");
  await page.getByLabel("Ref", { exact: true }).fill("clock.tick");
  await page.getByLabel("Every").fill("1");
  await page.getByLabel("Unit").selectOption("seconds");
  await page.getByRole("button", { name: "Create timer" }).click();
  await expect(page).toHaveURL(/\/timers\/clock\.tick$/);
  await expect(page.getByRole("region", { name: "Ledger" })).toContainText(/fired [1-9]/);

  await page.goto(`${server.url}/timers?q=clock`);
  const row = page.getByRole("row", { name: /clock\.tick/ });
  await row.getByRole("switch").click();
  await expect(row).toContainText("disabled");
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(row).not.toContainText("disabled");

  await page.goto(`${server.url}/timers/clock.tick`);
  await page.getByRole("switch", { name: "Enabled" }).click();
  await expect(page.getByText("This timer is disabled.")).toBeVisible();
});

test("arrow keys read each occurrence of the ledger (W21)", async ({ page, server }) => {
  await signIn(page, server, "/timers/core.timer_10s");
  const strip = page.getByLabel("Occurrences. Arrow keys step through them.");
  await expect(page.getByRole("region", { name: "Ledger" })).toContainText(/fired [1-9]/);
  await strip.focus();
  await page.keyboard.press("Home");
  await expect(page.getByText(/after the planned time/)).toBeVisible();
  await page.keyboard.press("End");
  await expect(page.getByText("Due.")).toBeVisible();
});

test("a day has as many columns as hours, and midnight belongs to its own day (W17)", async ({ page, server }) => {
  const config = { type: "cron", expression: "@daily", timezone: "Europe/Berlin" };
  await server.api("POST", "/api/v1/packs", { ref: "midnight" });
  await server.api("POST", "/api/v1/triggers", { ref: "midnight.daily", kind: "timer", config });
  await signIn(page, server, "/calendar?view=day&at=2027-03-28&rules=all&pack_ref=midnight");
  const lanes = page.locator("svg[data-columns]");
  await expect(lanes).toHaveAttribute("data-columns", "23");
  await expect(lanes.locator("[data-mark]")).toHaveCount(1);
  await page.goto(`${server.url}/calendar?view=day&at=2027-10-31&rules=all&pack_ref=midnight`);
  await expect(lanes).toHaveAttribute("data-columns", "25");
  await expect(lanes.locator("[data-mark]")).toHaveCount(1);
  await expect(lanes).toContainText("02 A");
  await expect(lanes).toContainText("02 B");
});
