import { defineConfig } from "@playwright/test";
import tests from "./playwright.config";

/** Takes the pictures of docs/images. */
export default defineConfig({ ...tests, testDir: "tests/screenshots", grepInvert: [], retries: 0, timeout: 300_000 });
