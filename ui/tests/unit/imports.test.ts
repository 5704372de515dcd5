import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const src = resolve(import.meta.dirname, "../../src");
const files = readdirSync(src, { recursive: true })
  .map((name) => join(src, String(name)))
  .filter((file) => /\.tsx?$/.test(file) && statSync(file).isFile() && !/\.test\./.test(file));

/** The layers: each may import from itself and from those before it. */
const layers = ["gen", "lib", "kit", "features", "app", "main.tsx"];
const layerOf = (file: string) => layers.indexOf(relative(src, file).split("/")[0] ?? "");

function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map((match) =>
    resolve(dirname(file), match[1] ?? ""),
  );
}

test("a layer imports only from itself and from lower layers", () => {
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter((target) => layerOf(target) > layerOf(file))
      .map((target) => `${relative(src, file)} imports ${relative(src, target)}`),
  );
  expect(wrong).toEqual([]);
});

test("a feature imports from another one only its api, its model and what is shared", () => {
  const shared =
    /\/(api|model|words|derive|marks)$|^features\/(definitions\/|settings\/SettingsTabs$)|\/(trace|logs)\/(TraceGraph|LogView|Output)$/;
  const wrong = files
    .filter((file) => relative(src, file).startsWith("features/"))
    .flatMap((file) => {
      const own = relative(src, file).split("/").slice(0, 2).join("/");
      return importsOf(file)
        .filter((target) => {
          const path = relative(src, target);
          return path.startsWith("features/") && !path.startsWith(`${own}/`) && !shared.test(path);
        })
        .map((target) => `${relative(src, file)} imports ${relative(src, target)}`);
    });
  expect(wrong).toEqual([]);
});

test("the browser's own fetch, storage, dates and event sources are used only in lib", () => {
  const forbidden = /\b(fetch\(|EventSource\b|localStorage|sessionStorage|Intl\.|Date\.|new Date|toLocale\w+|getHours)/;
  const wrong = files
    .filter((file) => !/^(lib|gen)\//.test(relative(src, file)))
    .filter((file) => forbidden.test(readFileSync(file, "utf8").replace(/^\s*(\/\/|\*|\/\*\*).*$/gm, "")))
    .map((file) => relative(src, file));
  expect(wrong).toEqual([]);
});

test("files have at most 300 lines", () => {
  const long = files
    .filter((file) => !relative(src, file).startsWith("gen/"))
    .filter((file) => readFileSync(file, "utf8").split("\n").length > 301)
    .map((file) => relative(src, file));
  expect(long).toEqual([]);
});
