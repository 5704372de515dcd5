/** The look of a piece of output: only colours and weights of SGR sequences; everything else is dropped. */
export interface Look {
  colour?: Colour | undefined;
  bold?: boolean;
  dim?: boolean;
  underline?: boolean;
}

export type Colour = "red" | "green" | "yellow" | "blue" | "magenta" | "cyan" | "grey";

export interface Span extends Look {
  text: string;
}

const named: (Colour | undefined)[] = ["grey", "red", "green", "yellow", "blue", "magenta", "cyan", undefined];

// biome-ignore lint/suspicious/noControlCharactersInRegex: sequences begin with Escape.
const sequence = /\u001b(?:\[([0-?]*)[ -/]*([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-_])/g;

/** Splits a line into spans, and says which look the next line begins with. */
export function parse(line: string, before: Look): { spans: Span[]; after: Look } {
  if (!line.includes("\u001b")) return { spans: [{ ...before, text: line }], after: before };
  const spans: Span[] = [];
  let look = before;
  let from = 0;
  for (const match of line.matchAll(sequence)) {
    if (match.index > from) spans.push({ ...look, text: line.slice(from, match.index) });
    if (match[2] === "m") look = apply(look, match[1] ?? "");
    from = match.index + match[0].length;
  }
  if (from < line.length || spans.length === 0) spans.push({ ...look, text: line.slice(from) });
  return { spans, after: look };
}

function apply(look: Look, codes: string): Look {
  const numbers = codes.split(/[;:]/).map(Number);
  let next: Look = { ...look };
  for (let i = 0; i < numbers.length; i++) {
    const code = numbers[i] ?? 0;
    if (code === 0) next = {};
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 4) next.underline = true;
    else if (code === 22) next = { ...next, bold: false, dim: false };
    else if (code === 24) next.underline = false;
    else if (code === 39) next.colour = undefined;
    else if (code >= 30 && code <= 37) next.colour = named[code - 30];
    else if (code >= 90 && code <= 97) next.colour = named[code - 90];
    else if (code === 38 || code === 48) {
      const isFront = code === 38;
      const colour =
        numbers[i + 1] === 5 ? indexed(numbers[i + 2] ?? 7) : nearest(numbers[i + 2], numbers[i + 3], numbers[i + 4]);
      if (isFront) next.colour = colour;
      i += numbers[i + 1] === 5 ? 2 : 4;
    }
  }
  return next;
}

function indexed(index: number): Colour | undefined {
  if (index < 16) return named[index % 8];
  if (index >= 232) return index < 244 ? "grey" : undefined;
  const cube = index - 16;
  const level = (n: number) => (n % 6) * 51;
  return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6)), level(cube));
}

/** The token that is closest to a colour: raw colours would not have enough contrast in both themes. */
function nearest(red = 0, green = 0, blue = 0): Colour | undefined {
  const high = Math.max(red, green, blue);
  const low = Math.min(red, green, blue);
  if (high - low < 40) return high < 140 ? "grey" : undefined;
  const middle = (high + low) / 2;
  const bits = Number(red > middle) + 2 * Number(green > middle) + 4 * Number(blue > middle);
  return named[bits];
}
