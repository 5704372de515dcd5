import { describe, expect, it } from "vitest";
import {
  type Control,
  commandOf,
  errorAt,
  formOfSchema,
  initial,
  numberOf,
  otherErrors,
  secretNames,
  variantOf,
  withProperty,
} from "./model";

const SCHEMA = {
  type: "object",
  required: ["host"],
  properties: {
    count: { type: "integer", minimum: 1, maximum: 10, default: 2 },
    host: { type: "string", title: "Host", description: "Host name" },
    text: { type: "string", maxLength: 16_384 },
    mode: { type: "string", enum: ["fast", "slow"] },
    dry: { type: "boolean", default: true },
    tags: { type: "array", items: { type: "string" } },
    ports: { type: "array", items: { type: "integer" } },
    items: {
      type: "array",
      items: {
        type: "object",
        required: ["host"],
        properties: { host: { type: "string" }, port: { type: "integer" } },
      },
    },
    opts: { type: "object", properties: { a: { type: "string" } } },
    env: { type: "object", additionalProperties: { type: "string" } },
    when: { type: "string", format: "date-time" },
    token: { type: "string", writeOnly: true },
    level: {
      oneOf: [
        { const: 1, title: "low" },
        { const: 2, title: "high" },
      ],
    },
    target: {
      oneOf: [
        { title: "File", properties: { kind: { const: "file" }, path: { type: "string" } } },
        { properties: { kind: { const: "url" }, url: { type: "string", format: "uri" } } },
      ],
    },
    anything: {},
    nested: { type: "array", items: { type: "array" } },
  },
  additionalProperties: false,
};

const model = formOfSchema(SCHEMA);
const control = (name: string): Control => {
  const field = model.fields.find((f) => f.name === name);
  if (field == null) throw new Error(`no field ${name}`);
  return field.control;
};

describe("form of a JSON schema", () => {
  it("shows required fields first", () => {
    expect(model.fields[0]).toMatchObject({ name: "host", label: "Host", hint: "Host name", required: true });
    expect(model.open).toBe(false);
    expect(formOfSchema({}).open).toBe(true);
    expect(formOfSchema(null)).toEqual({ fields: [], open: true });
  });
  it.each([
    ["count", { as: "number", integer: true, min: 1, max: 10 }],
    ["text", { as: "text", multiline: true, max: 16_384, secret: false }],
    [
      "mode",
      {
        as: "choice",
        options: [
          { value: "fast", label: "fast" },
          { value: "slow", label: "slow" },
        ],
      },
    ],
    ["dry", { as: "switch" }],
    ["tags", { as: "list", of: "string" }],
    ["ports", { as: "list", of: "number" }],
    ["env", { as: "map" }],
    ["when", { as: "text", multiline: false, format: "date-time", secret: false }],
    ["token", { as: "text", multiline: false, secret: true }],
    [
      "level",
      {
        as: "choice",
        options: [
          { value: 1, label: "low" },
          { value: 2, label: "high" },
        ],
      },
    ],
    ["anything", { as: "json" }],
    ["nested", { as: "json" }],
  ])("shows %s as %j", (name, expected) => {
    expect(control(name)).toEqual(expected);
  });
  it("nests groups, rows and variants", () => {
    expect(control("opts")).toMatchObject({ as: "group", fields: [{ name: "a" }] });
    expect(control("items")).toMatchObject({
      as: "rows",
      fields: [{ name: "host", required: true }, { name: "port" }],
    });
    const target = control("target");
    expect(target).toMatchObject({
      as: "variants",
      variants: [{ label: "File", fixed: { kind: "file" }, fields: [{ name: "path" }] }, { label: "url" }],
    });
    expect(variantOf(target as never, { kind: "url" })).toBe(1);
    expect(variantOf(target as never, undefined)).toBe(0);
  });
  it("starts with defaults", () => {
    expect(initial(model.fields)).toEqual({ count: 2, dry: true });
    expect(withProperty({ a: 1, b: 2 }, "a", undefined)).toEqual({ b: 2 });
    expect(numberOf(" 5 ")).toBe(5);
    expect(numberOf("five")).toBe("five");
    expect(numberOf("12345678901234567890")).toBe("12345678901234567890");
  });
});

describe("errors of the server", () => {
  const errors = [
    { path: "parameters.items[2].host", message: "is missing" },
    { path: "parameters.zzz", message: "is not allowed" },
  ];
  it("are found at their field", () => {
    expect(errorAt(errors, "parameters", "items[2].host")).toBe("is missing");
    expect(errorAt([{ path: "parameters.items.2.host", message: "x" }], "parameters", "items[2].host")).toBe("x");
    expect(otherErrors(errors, "parameters", model)).toEqual([errors[1]]);
  });
});

describe("command", () => {
  it("quotes for a shell and hides secrets", () => {
    expect(commandOf("core.echo", { message: "it's", n: 3, token: "geheim" }, secretNames(model))).toBe(
      "attune run core.echo message='it'\\''s' n=3 token=…",
    );
  });
});
