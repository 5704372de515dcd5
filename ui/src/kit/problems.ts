import { asProblem } from "../lib/http/problem";

/** The reasons of a 422 by field, and those that belong to no field of the form. */
export function fieldErrors(error: unknown, fields: readonly string[]): { at: Record<string, string>; rest: string[] } {
  const at: Record<string, string> = {};
  const rest: string[] = [];
  if (!error) return { at, rest };
  const { problem } = asProblem(error);
  for (const { path, message } of problem.errors) {
    const field = fields.find((name) => path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`));
    if (!field) rest.push(path ? `${path} ${message}` : message);
    else at[field] ??= path === field ? message : `${path.slice(field.length).replace(/^\./, "")} ${message}`;
  }
  if (problem.errors.length === 0) rest.push(problem.detail);
  return { at, rest };
}
