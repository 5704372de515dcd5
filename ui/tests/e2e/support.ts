import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test as base, expect, type Page } from "@playwright/test";
import { type Server, startServer } from "../server";

export * from "../server";
export { expect };

/** One server per file. Any violation of the content security policy and any error of a script fails the test. */
export const test = base.extend<object, { file: string; server: Server }>({
  // Another value for each file makes Playwright start a new worker, and so a new server.
  file: ["", { option: true, scope: "worker" }],
  server: [
    async ({ file: _ }, use) => {
      const server = await startServer();
      await use(server);
      await server.stop();
    },
    { scope: "worker", timeout: 120_000 },
  ],
  page: async ({ page }, use) => {
    const broken: string[] = [];
    await page.exposeBinding("reportViolation", (_, text: string) => void broken.push(text));
    await page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => {
        const report = (globalThis as unknown as { reportViolation: (text: string) => void }).reportViolation;
        report(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
      });
    });
    page.on("pageerror", (error) => broken.push(error.stack ?? error.message));
    await use(page);
    expect(broken).toEqual([]);
  },
});

export async function signIn(page: Page, server: Server, path = "/") {
  await page.goto(`${server.url}${path}`);
  await page.getByLabel("Login").fill("admin");
  await page.getByLabel("Password", { exact: true }).fill(server.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("navigation", { name: "Pages" })).toBeVisible();
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds on the page, in one line each. */
export async function axe(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  const result = await page.evaluate(() =>
    (
      globalThis as unknown as {
        axe: {
          run: (
            options: object,
          ) => Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
        };
      }
    ).axe.run({ resultTypes: ["violations"] }),
  );
  return result.violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary.split("\n")[1] ?? ""}`),
  );
}
