import { expect, signIn, test } from "./support";

test.use({ file: "first" });

test("from the link to the first output (W01, W02)", async ({ page, server, browser }) => {
  expect(server.link).toBeDefined();
  const begun = Date.now();
  await page.goto(server.link ?? "");
  await expect(page).toHaveURL(/\/welcome/);
  expect(page.url()).not.toContain("k=");
  await page.getByRole("button", { name: /On an interval/ }).click();
  await expect(page.getByText("Next:")).toBeVisible();
  await page.getByRole("button", { name: "Try it now" }).click();
  await expect(page.getByRole("region", { name: "Output" })).toContainText("hello");
  await page.getByRole("button", { name: "Enable" }).click();
  await expect(page.getByText("is enabled")).toBeVisible();
  await expect(page.getByRole("tree")).toContainText("succeeded", { timeout: 25_000 });
  await expect(page.getByRole("region", { name: "Output" })).toContainText("hello");
  expect(Date.now() - begun).toBeLessThan(40_000);

  // The link works once.
  const other = await browser.newContext();
  const second = await other.newPage();
  await second.goto(server.link ?? "");
  await expect(second.getByText("The link has been used; it works once. Sign in with your password.")).toBeVisible();
  await expect(second.getByLabel("Login")).toBeVisible();
  await other.close();
});

test("a webhook starts it", async ({ page, server }) => {
  await signIn(page, server, "/welcome");
  await page.getByRole("button", { name: /When a webhook is called/ }).click();
  await page.getByLabel("Shell command").fill("echo called");
  await page.getByRole("button", { name: "Enable" }).click();
  await page.getByRole("button", { name: "Send a test" }).click();
  await expect(page.getByRole("region", { name: "Output" })).toContainText("called");
});
