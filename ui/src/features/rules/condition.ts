import { newId } from "../../lib/uuid";

/** The condition of a rule as a form, without loss: `conditionOf(formOf(c))` equals `c`, or `formOf` refuses. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const OPERATORS = [
  "equals",
  "not_equals",
  "less_than",
  "less_than_or_equal",
  "greater_than",
  "greater_than_or_equal",
  "in",
  "not_in",
  "contains",
  "not_contains",
  "starts_with",
  "ends_with",
  "matches",
  "matches_wildcard",
  "younger_than",
  "older_than",
  "exists",
  "any_item",
  "every_item",
] as const;
export type Operator = (typeof OPERATORS)[number];

export const OPERATOR_WORDS: Record<Operator, string> = {
  equals: "equals",
  not_equals: "does not equal",
  less_than: "is less than",
  less_than_or_equal: "is at most",
  greater_than: "is greater than",
  greater_than_or_equal: "is at least",
  in: "is one of",
  not_in: "is not one of",
  contains: "contains",
  not_contains: "does not contain",
  starts_with: "starts with",
  ends_with: "ends with",
  matches: "matches the regular expression",
  matches_wildcard: "matches the pattern",
  younger_than: "is younger than",
  older_than: "is older than",
  exists: "exists",
  any_item: "has an item with",
  every_item: "has only items with",
};

/** Operators that accept `ignore_case`. */
export const TEXT_OPERATORS: ReadonlySet<Operator> = new Set<Operator>([
  "equals",
  "not_equals",
  "in",
  "not_in",
  "contains",
  "not_contains",
  "starts_with",
  "ends_with",
  "matches",
  "matches_wildcard",
]);

export type Missing = "undecided" | "false" | "true" | "fail";

export interface ClauseForm {
  kind: "clause";
  id: string;
  path: string;
  operator: Operator;
  /** JSON, or text without quotes for a string. Empty: no value. */
  value: string;
  missing: Missing;
  ignoreCase: boolean | null;
}

export interface ItemsForm {
  kind: "items";
  id: string;
  path: string;
  operator: "any_item" | "every_item";
  missing: Missing;
  item: NodeForm;
}

export interface GroupForm {
  kind: "group";
  id: string;
  op: "all" | "any";
  items: NodeForm[];
}

export interface NotForm {
  kind: "not";
  id: string;
  item: NodeForm;
}

export type NodeForm = ClauseForm | ItemsForm | GroupForm | NotForm;

export type ConditionForm =
  | { mode: "always" }
  | { mode: "expression"; text: string }
  | { mode: "tree"; root: NodeForm }
  /** The form cannot show it; it is edited as YAML. */
  | { mode: "yaml"; why: string; value: Json };

export function emptyClause(path = ""): ClauseForm {
  return { kind: "clause", id: newId(), path, operator: "equals", value: "", missing: "undecided", ignoreCase: null };
}

export function emptyGroup(op: "all" | "any" = "all", items: NodeForm[] = [emptyClause()]): GroupForm {
  return { kind: "group", id: newId(), op, items };
}

class Unshowable extends Error {}

export function formOf(condition: unknown): ConditionForm {
  if (condition == null) return { mode: "always" };
  if (typeof condition === "string") return { mode: "expression", text: condition };
  try {
    return { mode: "tree", root: nodeOf(condition, "the condition") };
  } catch (error) {
    if (!(error instanceof Unshowable)) throw error;
    return { mode: "yaml", why: error.message, value: condition as Json };
  }
}

function nodeOf(node: unknown, at: string): NodeForm {
  if (node == null || typeof node !== "object" || Array.isArray(node)) {
    throw new Unshowable(`${at} is not an object`);
  }
  const fields = node as Record<string, unknown>;
  for (const op of ["all", "any"] as const) {
    if (op in fields) {
      only(fields, [op], at);
      const items = fields[op];
      if (!Array.isArray(items)) throw new Unshowable(`\`${op}\` in ${at} is not a list`);
      return { kind: "group", id: newId(), op, items: items.map((item, i) => nodeOf(item, `${op}[${i}]`)) };
    }
  }
  if ("not" in fields) {
    only(fields, ["not"], at);
    return { kind: "not", id: newId(), item: nodeOf(fields.not, "not") };
  }
  return leafOf(fields, at);
}

function leafOf(fields: Record<string, unknown>, at: string): NodeForm {
  only(fields, ["path", "operator", "value", "missing", "ignore_case"], at);
  const operator = fields.operator as Operator;
  if (!OPERATORS.includes(operator))
    throw new Unshowable(`the form does not know the operator \`${String(operator)}\` of ${at}`);
  if (typeof fields.path !== "string") throw new Unshowable(`${at} has no path`);
  const missing = missingOf(fields, at);
  if (operator === "any_item" || operator === "every_item") {
    if ("ignore_case" in fields) throw new Unshowable(`${at} has \`ignore_case\`, which this operator does not use`);
    return {
      kind: "items",
      id: newId(),
      path: fields.path,
      operator,
      missing,
      item: nodeOf(fields.value, `the items of ${at}`),
    };
  }
  if ("ignore_case" in fields && typeof fields.ignore_case !== "boolean")
    throw new Unshowable(`\`ignore_case\` of ${at} is not true or false`);
  return {
    kind: "clause",
    id: newId(),
    path: fields.path,
    operator,
    value: "value" in fields ? textOf(fields.value as Json) : "",
    missing,
    ignoreCase: "ignore_case" in fields ? (fields.ignore_case as boolean) : null,
  };
}

function missingOf(fields: Record<string, unknown>, at: string): Missing {
  if (!("missing" in fields)) return "undecided";
  const value = fields.missing;
  if (value === true) return "true";
  if (value === false) return "false";
  if (value === "fail") return "fail";
  throw new Unshowable(`\`missing\` of ${at} is not true, false or "fail"`);
}

function only(fields: Record<string, unknown>, known: readonly string[], at: string): void {
  const other = Object.keys(fields).find((name) => !known.includes(name));
  if (other != null) throw new Unshowable(`the form does not know the field \`${other}\` of ${at}`);
}

/** A string that would read as something else keeps its quotes; every other string is shown without them. */
export function textOf(value: Json): string {
  if (typeof value !== "string") return JSON.stringify(value);
  return value === "" || value !== value.trim() || isJson(value) ? JSON.stringify(value) : value;
}

export function jsonFrom(text: string): Json | undefined {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export function conditionOf(form: ConditionForm): Json {
  if (form.mode === "always") return null;
  if (form.mode === "expression") return form.text;
  return form.mode === "yaml" ? form.value : jsonOf(form.root);
}

function jsonOf(node: NodeForm): Json {
  if (node.kind === "group") return { [node.op]: node.items.map(jsonOf) };
  if (node.kind === "not") return { not: jsonOf(node.item) };
  const out: { [key: string]: Json } = { path: node.path, operator: node.operator };
  const value = node.kind === "items" ? jsonOf(node.item) : jsonFrom(node.value);
  if (value !== undefined) out.value = value;
  if (node.missing !== "undecided") out.missing = node.missing === "fail" ? "fail" : node.missing === "true";
  if (node.kind === "clause" && node.ignoreCase != null) out.ignore_case = node.ignoreCase;
  return out;
}

/** A copy of the tree with the node `id` replaced; `undefined` removes it. */
export function replace(
  root: NodeForm,
  id: string,
  change: (node: NodeForm) => NodeForm | undefined,
): NodeForm | undefined {
  if (root.id === id) return change(root);
  if (root.kind === "group") {
    return { ...root, items: root.items.flatMap((item) => replace(item, id, change) ?? []) };
  }
  if (root.kind === "not" || root.kind === "items") {
    const item = replace(root.item, id, change);
    if (item != null) return { ...root, item };
    return root.kind === "not" ? undefined : { ...root, item: emptyClause("item.") };
  }
  return root;
}

export function move(root: NodeForm, id: string, by: -1 | 1): NodeForm {
  if (root.kind === "group") {
    const at = root.items.findIndex((item) => item.id === id);
    const to = at + by;
    if (at >= 0 && to >= 0 && to < root.items.length) {
      const items = [...root.items];
      const [item] = items.splice(at, 1);
      if (item != null) items.splice(to, 0, item);
      return { ...root, items };
    }
    return { ...root, items: root.items.map((item) => move(item, id, by)) };
  }
  return root.kind === "clause" ? root : { ...root, item: move(root.item, id, by) };
}

/** Where each node is in the condition, as the server names it: `all[0].any[1]`. */
export function positions(root: NodeForm, at = ""): Map<string, string> {
  const found = new Map<string, string>([[root.id, at]]);
  const add = (node: NodeForm, where: string) => {
    for (const [id, position] of positions(node, at === "" ? where : `${at}.${where}`)) found.set(id, position);
  };
  if (root.kind === "group") {
    for (const [i, item] of root.items.entries()) add(item, `${root.op}[${i}]`);
  } else if (root.kind === "not") add(root.item, "not");
  else if (root.kind === "items") add(root.item, "value");
  return found;
}

/** The clauses that the server could not decide, from its reason: `condition.all[0] cannot be decided: …`. */
export function undecidedIn(root: NodeForm, reason: string): string[] {
  const named = /^condition\.?(\S*) cannot be decided/.exec(reason);
  if (named == null) return [];
  return [...positions(root)].filter(([, at]) => at === named[1]).map(([id]) => id);
}

/** A missing path makes these clauses false. */
export function guarded(root: NodeForm, ids: readonly string[]): NodeForm {
  return ids.reduce<NodeForm>(
    (tree, id) =>
      replace(tree, id, (node) =>
        node.kind === "clause" || node.kind === "items" ? { ...node, missing: "false" } : node,
      ) ?? tree,
    root,
  );
}
