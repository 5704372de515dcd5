import { expect, test } from "vitest";
import { type Choices, freeRef, nameOf, timerConfig } from "./model";

const choices: Choices = {
  start: "interval",
  every: "10s",
  at: "09:05",
  days: "weekdays",
  zone: "Europe/Berlin",
  command: "echo hello",
};

test("timers", () => {
  expect(timerConfig(choices)).toEqual({ type: "interval", seconds: 10 });
  expect(timerConfig({ ...choices, every: "1h" })).toEqual({ type: "interval", hours: 1 });
  expect(timerConfig({ ...choices, start: "time" })).toEqual({
    type: "cron",
    expression: "5 9 * * 1-5",
    timezone: "Europe/Berlin",
  });
  expect(timerConfig({ ...choices, start: "webhook" })).toBeUndefined();
});

test("names from commands", () => {
  expect(nameOf("echo hello")).toBe("echo");
  expect(nameOf("/usr/bin/rsync -a x y")).toBe("rsync");
  expect(nameOf("./Back-Up.sh")).toBe("back_up_sh");
  expect(nameOf("  ")).toBe("first");
  expect(freeRef("echo", new Set(["my.echo", "my.echo_2"]))).toBe("my.echo_3");
});
