import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const css = readFileSync(resolve(import.meta.dirname, "../../src/styles/tokens.css"), "utf8");
const tokens = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map((match) => [
    match[1] ?? "",
    [match[2] ?? "", match[3] ?? ""],
  ]),
);

function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const pairs: [string, string, number][] = [
  ...["ink", "ink-2", "ink-3", "accent"].flatMap((ink) =>
    ["surface", "canvas", "sunken"].map((ground): [string, string, number] => [ink, ground, 4.5]),
  ),
  ...["ok", "run", "bad", "late", "wait", "lost", "quiet"].flatMap((tone): [string, string, number][] => [
    [tone, `${tone}-tint`, 4.5],
    [tone, "surface", 4.5],
    [tone, "canvas", 4.5],
  ]),
  ["on-accent", "accent", 4.5],
  ["line-2", "surface", 3],
  ["line-2", "canvas", 3],
  ["ink-2", "quiet-tint", 4.5],
  ["accent", "run-tint", 4.5],
];

test.each(pairs)("%s on %s has enough contrast in both themes", (ink, ground, limit) => {
  for (const theme of [0, 1]) {
    const value = contrast(tokens.get(ink)?.[theme] ?? "#000000", tokens.get(ground)?.[theme] ?? "#000000");
    expect(value).toBeGreaterThanOrEqual(limit);
  }
});
