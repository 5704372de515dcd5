export type Start = "interval" | "time" | "webhook" | "manual";

export interface Choices {
  start: Start;
  /** `10s`, `1m`, `1h` … */
  every: string;
  /** `09:00` */
  at: string;
  days: "every" | "weekdays" | "monday";
  zone: string;
  command: string;
}

const units = { s: "seconds", m: "minutes", h: "hours" } as const;

/** The configuration of the inline timer; nothing for a webhook and for a start by hand. */
export function timerConfig(choices: Choices): Record<string, unknown> | undefined {
  if (choices.start === "interval") {
    const unit = units[choices.every.slice(-1) as keyof typeof units];
    return { type: "interval", [unit]: Number(choices.every.slice(0, -1)) };
  }
  if (choices.start === "time") {
    const [hour = "9", minute = "0"] = choices.at.split(":");
    const days = { every: "*", weekdays: "1-5", monday: "1" }[choices.days];
    return { type: "cron", expression: `${Number(minute)} ${Number(hour)} * * ${days}`, timezone: choices.zone };
  }
  return undefined;
}

/** A name for what the command does: its first word, such as `echo`. */
export function nameOf(command: string): string {
  const word =
    command
      .trim()
      .split(/[\s|;&]+/)[0]
      ?.split("/")
      .at(-1) ?? "";
  const name = word
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "_")
    .replace(/^[^a-z]+/, "")
    .replace(/_+$/, "");
  return name.slice(0, 40) || "first";
}

/** The first free ref: `my.echo`, `my.echo_2` … */
export function freeRef(name: string, taken: ReadonlySet<string>): string {
  for (let number = 1; ; number++) {
    const ref = number === 1 ? `my.${name}` : `my.${name}_${number}`;
    if (!taken.has(ref)) return ref;
  }
}

/** The same as files that `attune pack` can load. */
export function yamlOf(choices: Choices, ref: string): string {
  const timer = timerConfig(choices);
  const lines = [
    "action:",
    `  ref: ${ref}`,
    "  runtime_ref: core.shell",
    `  entry_point: ${JSON.stringify(choices.command)}`,
  ];
  if (choices.start !== "manual") {
    lines.push("rule:", `  ref: ${ref}`, `  action_ref: ${ref}`);
    if (timer)
      lines.push("  trigger:", ...Object.entries(timer).map(([key, value]) => `    ${key}: ${JSON.stringify(value)}`));
    else lines.push(`  trigger_ref: ${ref}_hook`);
  }
  return `${lines.join("\n")}\n`;
}
