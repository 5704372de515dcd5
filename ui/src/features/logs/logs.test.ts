import { describe, expect, test } from "vitest";
import { parse } from "./ansi";
import { find, Lines, lineText, rangeOf } from "./model";

const piece = (stream: string, text: string) => ({ stream, text, at: null, attempt: 1 });

describe("lines", () => {
  test("a line that arrives in pieces is one line", () => {
    const lines = new Lines();
    lines.append([piece("stdout", "hel"), piece("stderr", "oops\n"), piece("stdout", "lo\nwor")]);
    lines.append([piece("stdout", "ld\n")]);
    expect(lines.lines.map((line) => `${line.number} ${line.stream} ${lineText(line)}`)).toEqual([
      "1 stdout hello",
      "2 stderr oops",
      "3 stdout world",
    ]);
  });

  test("however the output is cut, the lines are the same", () => {
    const text = "\u001b[31mred\u001b[0m\nplain\n\nlast without end";
    const whole = new Lines();
    whole.append([piece("stdout", text)]);
    for (let cut = 1; cut < text.length; cut++) {
      const parts = new Lines();
      parts.append([piece("stdout", text.slice(0, cut)), piece("stdout", text.slice(cut))]);
      expect(parts.lines.map(lineText)).toEqual(whole.lines.map(lineText));
    }
  });

  test("a carriage return begins the line again", () => {
    const lines = new Lines();
    lines.append([piece("stdout", "10 %\r50 %\r100 %\n")]);
    expect(lines.lines.map(lineText)).toEqual(["100 %"]);
  });

  test("a colour lasts until it is reset", () => {
    const lines = new Lines();
    lines.append([piece("stdout", "\u001b[33mone\ntwo\u001b[0m three\n")]);
    expect(lines.lines[1]?.spans).toMatchObject([{ colour: "yellow", text: "two" }, { text: " three" }]);
  });
});

describe("colours", () => {
  const colours = (text: string) => parse(text, {}).spans.map((span) => span.colour);
  test("16, 256 and true colours become tokens", () => {
    expect(colours("\u001b[31ma")).toEqual(["red"]);
    expect(colours("\u001b[92ma")).toEqual(["green"]);
    expect(colours("\u001b[38;5;196ma")).toEqual(["red"]);
    expect(colours("\u001b[38;2;20;40;220ma")).toEqual(["blue"]);
    expect(colours("\u001b[38;5;255ma")).toEqual([undefined]);
  });
  test("other sequences are dropped", () => {
    const text = parse("a\u001b[2Jb\u001b]0;title\u0007c\u001b[1Ad", {}).spans.map((span) => span.text);
    expect(text.join("")).toBe("abcd");
  });
});

test("find takes text and expressions, and survives a broken one", () => {
  const lines = new Lines();
  lines.append([piece("stdout", "Error 1\nok\nerror 22\n")]);
  expect(find(lines.lines, "error")).toEqual([0, 2]);
  expect(find(lines.lines, "/\\d{2}/")).toEqual([2]);
  expect(find(lines.lines, "/(/")).toEqual([]);
});

test("line ranges in the address", () => {
  expect(rangeOf("#L120")).toEqual([120, 120]);
  expect(rangeOf("#L9-L4")).toEqual([4, 9]);
  expect(rangeOf("#other")).toBeUndefined();
});
