import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const target = process.env.ATTUNE_API_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./",
  plugins: [react()],
  // The server replaces this text with a fresh value in each response.
  html: { cspNonce: "__CSP_NONCE__" },
  build: {
    target: "es2023",
    manifest: "manifest.json",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    license: false,
  },
  server: {
    port: 5173,
    proxy: Object.fromEntries(["/api", "/auth", "/health"].map((path) => [path, { target, changeOrigin: true }])),
  },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}", "tests/unit/**/*.test.ts"] },
});
