import type { Schema } from "../../lib/schema";
import { type Look, parse, type Span } from "./ansi";

export type Piece = Schema<"Log">;

export interface Line {
  /** From 1, over the whole attempt. */
  number: number;
  stream: string;
  at: string | null;
  spans: Span[];
  text: string;
}

/** Older lines are dropped beyond this. */
const linesMax = 200_000;

/** Lines of one attempt, from pieces of output that may end within a line. */
export class Lines {
  lines: Line[] = [];
  dropped = 0;
  private count = 0;
  private readonly open = new Map<string, { line: Line; before: Look }>();
  private readonly looks = new Map<string, Look>();

  append(pieces: readonly Piece[]) {
    for (const piece of pieces) this.add(piece);
    if (this.lines.length > linesMax) {
      const excess = this.lines.length - linesMax;
      this.lines = this.lines.slice(excess);
      this.dropped += excess;
    }
  }

  private add({ stream, text, at }: Piece) {
    const parts = text.split("\n");
    const last = parts.pop() ?? "";
    for (const part of parts) {
      this.put(stream, at ?? null, part);
      this.open.delete(stream);
    }
    if (last) this.put(stream, at ?? null, last);
  }

  private put(stream: string, at: string | null, part: string) {
    const open = this.open.get(stream);
    const text = (open?.line.text ?? "") + part;
    const before = open?.before ?? this.looks.get(stream) ?? {};
    // A carriage return begins the line again, as on a terminal.
    const visible = text.replace(/\r+$/, "").split("\r").at(-1) ?? "";
    const { spans, after } = parse(visible, before);
    this.looks.set(stream, after);
    if (open) {
      open.line.spans = spans;
      open.line.text = text;
      return;
    }
    const line: Line = { number: ++this.count, stream, at, spans, text };
    this.lines.push(line);
    this.open.set(stream, { line, before });
  }
}

export const lineText = (line: Line): string => line.spans.map((span) => span.text).join("");

/** Numbers of the lines that contain the text, or match the expression `/…/`. */
export function find(lines: readonly Line[], text: string): number[] {
  if (!text) return [];
  let matches = (line: string) => line.toLowerCase().includes(text.toLowerCase());
  const expression = /^\/(.+)\/(i?)$/.exec(text);
  if (expression) {
    try {
      const compiled = new RegExp(expression[1] ?? "", expression[2]);
      matches = (line) => compiled.test(line);
    } catch {
      return [];
    }
  }
  return lines.flatMap((line, index) => (matches(lineText(line)) ? [index] : []));
}

/** `#L120` or `#L120-L140` in the address. */
export function rangeOf(hash: string): [number, number] | undefined {
  const match = /^#?L(\d+)(?:-L?(\d+))?$/.exec(hash);
  if (!match) return undefined;
  const from = Number(match[1]);
  const to = Number(match[2] ?? match[1]);
  return from <= to ? [from, to] : [to, from];
}
