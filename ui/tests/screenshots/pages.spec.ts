import { eventually, expect, order, seed, signIn, test } from "../e2e/support";

const IMAGES = "../docs/images";

test("pictures of the pages that the documents show", async ({ page, server }) => {
  await seed(server);
  const event = await order(server, 250);
  await eventually(
    () => server.api<{ id: string }[]>("GET", `/api/v1/executions?event_id=${event.id}&status=failed`),
    (all) => all.length > 0,
  );
  const paths: Record<string, string> = { now: "/", trace: `/t/${event.id}`, rule: "/rules/acme.big?tab=verdicts" };
  await signIn(page, server, "/");
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(`${server.url}${path}`);
      await page.locator("h1").first().waitFor();
      await expect(page.locator(".skeleton")).toHaveCount(0);
      await page.screenshot({ path: `${IMAGES}/${name}-${colorScheme}.png`, animations: "disabled" });
    }
  }
});
