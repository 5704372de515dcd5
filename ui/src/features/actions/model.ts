/** A form from a JSON Schema. What it cannot show as a control, it shows as JSON, for that property only. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Raw = Record<string, unknown>;

export type Control =
  | { as: "text"; multiline: boolean; format?: string; max?: number; secret: boolean }
  | { as: "number"; integer: boolean; min?: number; max?: number }
  | { as: "switch" }
  | { as: "choice"; options: { value: Json; label: string }[] }
  | { as: "list"; of: "string" | "number" }
  | { as: "rows"; fields: Field[] }
  | { as: "group"; fields: Field[] }
  | { as: "variants"; variants: { label: string; fields: Field[]; fixed: Record<string, Json> }[] }
  | { as: "map" }
  | { as: "json" };

export interface Field {
  name: string;
  label: string;
  hint: string;
  required: boolean;
  default?: Json;
  control: Control;
}

export interface FormModel {
  fields: Field[];
  /** The schema allows other names; they are edited as JSON. */
  open: boolean;
}

export function formOfSchema(schema: unknown): FormModel {
  const raw = objectOf(schema);
  return { fields: fieldsOf(raw), open: raw == null || raw.additionalProperties !== false };
}

function fieldsOf(schema: Raw | undefined): Field[] {
  const properties = objectOf(schema?.properties);
  if (properties == null) return [];
  const required = Array.isArray(schema?.required) ? schema.required : [];
  const fields = Object.entries(properties).map(([name, of]) =>
    fieldOf(name, objectOf(of) ?? {}, required.includes(name)),
  );
  return [...fields.filter((f) => f.required), ...fields.filter((f) => !f.required)];
}

function fieldOf(name: string, schema: Raw, required: boolean): Field {
  const field: Field = {
    name,
    label: typeof schema.title === "string" ? schema.title : name,
    hint: typeof schema.description === "string" ? schema.description : "",
    required,
    control: controlOf(schema),
  };
  if (schema.default !== undefined) field.default = schema.default as Json;
  return field;
}

function controlOf(schema: Raw): Control {
  if (Array.isArray(schema.enum) && schema.enum.every(isScalar)) {
    return { as: "choice", options: schema.enum.map((value) => ({ value: value as Json, label: String(value) })) };
  }
  if (Array.isArray(schema.oneOf)) return variantsOf(schema.oneOf) ?? { as: "json" };
  switch (schema.type) {
    case "string":
      return textOf(schema);
    case "integer":
    case "number":
      return {
        as: "number",
        integer: schema.type === "integer",
        ...(typeof schema.minimum === "number" ? { min: schema.minimum } : {}),
        ...(typeof schema.maximum === "number" ? { max: schema.maximum } : {}),
      };
    case "boolean":
      return { as: "switch" };
    case "array":
      return listOf(schema);
    case "object":
      return objectControl(schema);
    default:
      return { as: "json" };
  }
}

function textOf(schema: Raw): Control {
  const long = typeof schema.maxLength === "number" && schema.maxLength > 120 && schema.format == null;
  return {
    as: "text",
    multiline: schema.contentMediaType != null || long,
    secret: schema.secret === true || schema.writeOnly === true || schema.format === "password",
    ...(typeof schema.format === "string" ? { format: schema.format } : {}),
    ...(typeof schema.maxLength === "number" ? { max: schema.maxLength } : {}),
  };
}

function listOf(schema: Raw): Control {
  const items = objectOf(schema.items);
  if (items?.type === "string" && items.enum == null) return { as: "list", of: "string" };
  if (items?.type === "number" || items?.type === "integer") return { as: "list", of: "number" };
  const fields = items?.type === "object" ? fieldsOf(items) : [];
  return fields.length > 0 ? { as: "rows", fields } : { as: "json" };
}

function objectControl(schema: Raw): Control {
  const fields = fieldsOf(schema);
  if (fields.length > 0) return { as: "group", fields };
  const values = objectOf(schema.additionalProperties);
  return values?.type === "string" ? { as: "map" } : { as: "json" };
}

/** `oneOf` as a choice of constants, or as tabs of objects that a constant tells apart. */
function variantsOf(options: unknown[]): Control | undefined {
  const raws = options.map((option) => objectOf(option) ?? {});
  if (raws.every((raw) => raw.const !== undefined && isScalar(raw.const))) {
    return {
      as: "choice",
      options: raws.map((raw) => ({ value: raw.const as Json, label: String(raw.title ?? raw.const) })),
    };
  }
  if (!raws.every((raw) => objectOf(raw.properties) != null)) return undefined;
  const variants = raws.map((raw, i) => {
    const fixed: Record<string, Json> = {};
    for (const [name, of] of Object.entries(objectOf(raw.properties) ?? {})) {
      const constant = objectOf(of)?.const;
      if (constant !== undefined) fixed[name] = constant as Json;
    }
    const first = Object.values(fixed)[0];
    return {
      label: String(raw.title ?? first ?? `form ${i + 1}`),
      fields: fieldsOf(raw).filter((field) => !(field.name in fixed)),
      fixed,
    };
  });
  return { as: "variants", variants };
}

function objectOf(value: unknown): Raw | undefined {
  return value != null && typeof value === "object" && !Array.isArray(value) ? (value as Raw) : undefined;
}

function isScalar(value: unknown): boolean {
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}

/** What a new item of a list of rows starts with. Only constants and defaults: an empty field is left out. */
export function initial(fields: readonly Field[]): Record<string, Json> {
  const out: Record<string, Json> = {};
  for (const field of fields) if (field.default !== undefined) out[field.name] = field.default;
  return out;
}

/** Which variant a value has: the one whose constants it has, otherwise the first. */
export function variantOf(control: Extract<Control, { as: "variants" }>, value: Json | undefined): number {
  const raw = objectOf(value) ?? {};
  const at = control.variants.findIndex((v) =>
    Object.entries(v.fixed).every(([name, constant]) => raw[name] === constant),
  );
  return Math.max(0, at);
}

/** The text of a number field as a value. What is not a number stays text, so that the server names the field. */
export function numberOf(text: string): Json | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const value = Number(trimmed);
  return Number.isFinite(value) && Number.isSafeInteger(Math.trunc(value)) ? value : trimmed;
}

/** Sets or removes one property. */
export function withProperty(value: Record<string, Json>, name: string, next: Json | undefined): Record<string, Json> {
  const { [name]: _, ...rest } = value;
  return next === undefined ? rest : { ...value, [name]: next };
}

/** The message for one field: `parameters.items[2].host` belongs to `items[2].host`. */
export function errorAt(
  errors: readonly { path: string; message: string }[],
  prefix: string,
  path: string,
): string | undefined {
  const full = path.startsWith("[") ? `${prefix}${path}` : `${prefix}.${path}`;
  return errors.find((error) => error.path === full || error.path === dotted(full))?.message;
}

/** `items[2].host` and `items.2.host` name the same field. */
function dotted(path: string): string {
  return path.replace(/\[(\d+)\]/g, ".$1");
}

/** Errors that no field of the form shows. */
export function otherErrors(
  errors: readonly { path: string; message: string }[],
  prefix: string,
  model: FormModel,
): { path: string; message: string }[] {
  const paths = model.fields.map((field) => `${prefix}.${field.name}`);
  return errors.filter(
    (error) =>
      !paths.some(
        (path) => error.path === path || (error.path.startsWith(path) && /^[.[]/.test(error.path.slice(path.length))),
      ),
  );
}

/** A command that does the same, for a shell of the POSIX family. */
export function commandOf(
  actionRef: string,
  parameters: Record<string, Json>,
  secrets: ReadonlySet<string> = new Set(),
): string {
  const parts = Object.entries(parameters).map(([name, value]) => {
    if (secrets.has(name)) return `${name}=…`;
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return `${name}=${quoted(text)}`;
  });
  return ["attune", "run", actionRef, ...parts].join(" ");
}

function quoted(text: string): string {
  return /^[\w@%+:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export function secretNames(model: FormModel): Set<string> {
  return new Set(model.fields.filter((f) => f.control.as === "text" && f.control.secret).map((f) => f.name));
}
