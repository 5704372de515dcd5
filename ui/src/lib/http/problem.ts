/** A problem of the API (RFC 9457), or one of the same form for a request that got no answer. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  /** The id of the request. */
  instance?: string;
  errors: { path: string; message: string }[];
  conflicts?: string[];
}

export class ProblemError extends Error {
  readonly problem: Problem;
  readonly retryAfter: number | undefined;

  constructor(problem: Problem, retryAfter?: number) {
    super(problem.detail);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  /** The last part of the type: `not_found`, `overloaded`, `unreachable` … */
  get kind(): string {
    return this.problem.type.split(":").at(-1) ?? "";
  }
}

export const unreachable = (): ProblemError =>
  new ProblemError({
    type: "urn:attune:problem:unreachable",
    title: "Unreachable",
    status: 0,
    detail: "Attune does not answer.",
    errors: [],
  });

export async function problemOf(response: Response): Promise<ProblemError> {
  const retryAfter = Number(response.headers.get("retry-after")) || undefined;
  let body: Partial<Problem> = {};
  try {
    body = await response.json();
  } catch {
    // A proxy answered with something else.
  }
  const problem: Problem = {
    type: body.type ?? "urn:attune:problem:http",
    title: body.title ?? response.statusText,
    status: response.status,
    detail: body.detail ?? `the server answered with status ${response.status}`,
    errors: body.errors ?? [],
  };
  const instance = body.instance ?? response.headers.get("x-request-id");
  if (instance) problem.instance = instance;
  if (body.conflicts) problem.conflicts = body.conflicts;
  return new ProblemError(problem, retryAfter);
}

/** A problem for whatever was thrown. */
export function asProblem(thrown: unknown): ProblemError {
  if (thrown instanceof ProblemError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new ProblemError({ type: "urn:attune:problem:page", title: "Error", status: 0, detail, errors: [] });
}
