// After `vite build`: writes the list of pages for the server, compresses, and checks the budgets of size.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;

const source = readFileSync(new URL("../src/app/pages.ts", import.meta.url), "utf8");
const pages = [...source.matchAll(/path: "([^"]+)"/g)].map((match) => match[1]).sort();
writeFileSync(join(dist, "pages.json"), `${JSON.stringify(pages, null, 2)}\n`);

const files = readdirSync(dist, { recursive: true })
  .map(String)
  .filter((name) => statSync(join(dist, name)).isFile())
  .sort();
const sizes = new Map();
for (const name of files) {
  if (name.endsWith(".br") || name.endsWith(".gz")) continue;
  const data = readFileSync(join(dist, name));
  const compressible = /\.(js|css|svg|json)$/.test(name) && name.startsWith("assets/");
  const gzip = gzipSync(data, { level: 9 });
  // The header of gzip names the operating system; the output must not depend on it.
  gzip[9] = 255;
  sizes.set(name, { raw: data.length, gzip: compressible ? gzip.length : data.length });
  if (!compressible || data.length <= 1024) continue;
  const brotli = brotliCompressSync(data, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: data.length },
  });
  writeFileSync(join(dist, `${name}.gz`), gzip);
  writeFileSync(join(dist, `${name}.br`), brotli);
}

const manifest = JSON.parse(readFileSync(join(dist, "manifest.json"), "utf8"));
const entry = Object.values(manifest).find((chunk) => chunk.isEntry);
const withImports = (chunk, seen = new Set()) => {
  if (!chunk || seen.has(chunk.file)) return seen;
  seen.add(chunk.file);
  for (const name of chunk.imports ?? []) withImports(manifest[name], seen);
  return seen;
};
const gzipOf = (names) => [...names].reduce((sum, name) => sum + (sizes.get(name)?.gzip ?? 0), 0);
const first = withImports(entry);
const kib = 1024;
const budgets = [
  ["first load, JavaScript", gzipOf(first), 175 * kib],
  ["style sheets", gzipOf(files.filter((name) => name.endsWith(".css"))), 20 * kib],
  ["fonts", gzipOf(files.filter((name) => name.endsWith(".woff2"))), 90 * kib],
];
for (const [name, chunk] of Object.entries(manifest)) {
  if (!chunk.isDynamicEntry || !/Page\.tsx$/.test(name)) continue;
  const own = [...withImports(chunk)].filter((file) => !first.has(file));
  budgets.push([name.replace(/^src\/features\//, ""), gzipOf(own), 60 * kib]);
}
const shipped = files
  .filter((name) => !name.endsWith(".gz") && !name.endsWith(".br"))
  .reduce((sum, name) => sum + (sizes.get(name)?.gzip ?? 0), 0);
budgets.push(["everything, compressed", shipped, 900 * kib]);

let over = false;
for (const [name, size, limit] of budgets) {
  const bad = size > limit;
  over ||= bad;
  console.log(
    `${bad ? "TOO LARGE" : "ok"}  ${(size / kib).toFixed(1).padStart(7)} of ${(limit / kib).toFixed(0)} KiB  ${name}`,
  );
}
// The list of modules was only for the budgets.
rmSync(join(dist, "manifest.json"));
if (over) process.exit(1);
