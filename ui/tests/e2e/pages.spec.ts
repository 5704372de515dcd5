import { readFileSync } from "node:fs";
import { axe, eventually, expect, order, seed, signIn, test } from "./support";

test.use({ file: "pages" });

const pages: string[] = JSON.parse(readFileSync(new URL("../../dist/pages.json", import.meta.url), "utf8"));

test("@slow no page breaks a rule of accessibility, in either theme, or is wider than a phone (W41, W44, W46)", async ({
  page,
  server,
}) => {
  test.setTimeout(240_000);
  await seed(server);
  const event = await order(server, 50);
  const [execution] = await eventually(
    () => server.api<{ id: string; status: string }[]>("GET", `/api/v1/executions?event_id=${event.id}&status=failed`),
    (all) => all.length > 0,
  );
  const values: Record<string, string> = {
    "/executions/{id}": execution?.id ?? "",
    "/events/{id}": event.id,
    "/t/{id}": event.id,
    "/go/{id}": event.id,
    "/timers/{ref}": "core.timer_10s",
    "/timers/{ref}/edit": "core.timer_10s",
    "/triggers/{ref}": "acme.order",
    "/rules/{ref}": "acme.big",
    "/rules/{ref}/edit": "acme.big",
    "/actions/{ref}": "core.echo",
    "/packs/{ref}": "core",
  };
  await signIn(page, server, "/executions");
  const found: string[] = [];
  for (const pattern of pages) {
    const value = values[pattern];
    if (pattern.includes("{") && !value) continue;
    const path = pattern.replace(/\{\w+\}/, value ?? "");
    await page.setViewportSize({ width: 1440, height: 900 });
    const response = await page.goto(`${server.url}${path}`);
    if (response?.status() !== 200) found.push(`${path}: status ${response?.status()}`);
    const shown = page.locator("h1").first().waitFor({ timeout: 10_000 });
    if (await shown.then(() => false).catch(() => true)) {
      found.push(`${path}: no heading after 10 s`);
      continue;
    }
    // The stream never ends, so the network is never idle: what loads says so itself.
    await expect(page.locator(".skeleton")).toHaveCount(0);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      found.push(...(await axe(page)).map((each) => `${path} ${colorScheme}: ${each}`));
    }
    await page.setViewportSize({ width: 320, height: 700 });
    const wide = await page.evaluate(() => {
      const content = document.getElementById("page");
      return Math.max(
        content ? content.scrollWidth - content.clientWidth : 0,
        document.documentElement.scrollWidth - window.innerWidth,
      );
    });
    if (wide > 1) found.push(`${path}: ${wide} px wider than 320 px`);
  }
  expect(found.join("\n")).toBe("");
});

test("a path that is no page has status 404 and says so", async ({ page, server }) => {
  await signIn(page, server);
  const response = await page.goto(`${server.url}/nonsense`);
  expect(response?.status()).toBe(404);
  await expect(page.getByText("There is no page at this address.")).toBeVisible();
});

test("keys and menus: palette, help, zone, pause", async ({ page, server }) => {
  await signIn(page, server, "/executions");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toContainText("Pause or resume live updates");
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await expect(page.getByRole("heading", { name: "Events" })).toBeVisible();
  await page.keyboard.press("p");
  await expect(page.getByRole("button", { name: /paused/ })).toBeVisible();
  await page.keyboard.press("p");
  await expect(page.locator(".clock")).toContainText("Berlin");
  await page.keyboard.press("z");
  await expect(page.locator(".clock")).toContainText("UTC");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("core.echo");
  await expect(page.getByRole("option", { name: /core.echo/ })).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/actions\/core.echo$/);
});
