import { defineConfig } from "@playwright/test";

const chromium = process.env.ATTUNE_CHROMIUM ?? "/usr/bin/chromium";

export default defineConfig({
  testDir: "tests/e2e",
  // The walk over all pages takes minutes: `ATTUNE_UI_SLOW=1 npm run e2e`.
  grepInvert: process.env.ATTUNE_UI_SLOW ? [] : /@slow/,
  workers: 1,
  fullyParallel: false,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  // A test that passes only on its second run is reported as flaky, and is a bug to fix.
  retries: 1,
  reporter: [["list"]],
  use: {
    viewport: { width: 1440, height: 900 },
    timezoneId: "Europe/Berlin",
    launchOptions: {
      executablePath: chromium,
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
    trace: "off",
  },
});
