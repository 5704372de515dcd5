import { setServerDate } from "../time/clock";
import { noteAnswer, noteNoAnswer } from "./net";
import { problemOf, unreachable } from "./problem";

export type Query = Record<string, string | number | boolean | undefined | null>;

export interface Options {
  query?: Query | undefined;
  body?: unknown;
  signal?: AbortSignal | undefined;
  /** Not caused by the user: does not count as activity of the session. */
  background?: boolean;
  ifMatch?: string | undefined;
  /** One UUID per intent of the user, kept when the request is repeated. */
  idempotencyKey?: string;
  accept?: string;
}

/** Called on 401; resolves when the user has signed in again, and the request is repeated. */
type SignedOut = (why: "ended" | "step_up") => Promise<void>;
let signedOut: SignedOut | undefined;
export const onSignedOut = (handler: SignedOut | undefined) => {
  signedOut = handler;
};

/** The address of a path of the server, below the base of the page. */
export function urlOf(path: string, query?: Query): string {
  const url = new URL(path.replace(/^\//, ""), document.baseURI);
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(key, String(value));
  }
  return url.toString();
}

export const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

export async function send(method: string, path: string, options: Options = {}): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await once(method, path, options);
    if (response.ok) return response;
    if (response.status === 429 && attempt <= 5) {
      const seconds = Number(response.headers.get("retry-after")) || 1;
      noteAnswer(attempt >= 3 ? "limited" : "ok");
      await pause(seconds * 1000);
      continue;
    }
    if (response.status === 401 && signedOut && !path.startsWith("/auth/")) {
      await signedOut("ended");
      continue;
    }
    const failed = await problemOf(response);
    if (failed.kind === "step_up" && signedOut) {
      await signedOut("step_up");
      continue;
    }
    throw failed;
  }
}

async function once(method: string, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { accept: options.accept ?? "application/json", "x-attune": "1" };
  if (options.body !== undefined) headers["content-type"] = "application/json";
  if (options.background) headers["x-attune-background"] = "1";
  if (options.ifMatch) headers["if-match"] = options.ifMatch;
  if (options.idempotencyKey) headers["idempotency-key"] = options.idempotencyKey;
  const begun = performance.now();
  let response: Response;
  try {
    response = await fetch(urlOf(path, options.query), {
      method,
      headers,
      credentials: "same-origin",
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal ?? null,
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    noteNoAnswer();
    throw unreachable();
  }
  setServerDate(response.headers.get("date"), performance.now() - begun);
  noteAnswer("ok");
  return response;
}

async function bodyOf<T>(response: Response): Promise<T> {
  if (response.status === 204 || response.headers.get("content-length") === "0") return undefined as T;
  return (await response.json()) as T;
}

/** What most routes answer: an object under `data`, and what was accepted but will not work as intended. */
export interface One<T> {
  data: T;
  warnings?: string[];
}

export interface Page<T> {
  data: T[];
  pagination: { next: string | null; limit: number };
}

export const get = async <T>(path: string, options?: Options): Promise<T> =>
  (await bodyOf<One<T>>(await send("GET", path, options))).data;

export const list = async <T>(path: string, options?: Options): Promise<Page<T>> =>
  bodyOf<Page<T>>(await send("GET", path, options));

/** An object with its version, for `ifMatch`. */
export async function getTagged<T>(path: string, options?: Options): Promise<{ data: T; etag: string | undefined }> {
  const response = await send("GET", path, options);
  return { data: (await bodyOf<One<T>>(response)).data, etag: response.headers.get("etag") ?? undefined };
}

export const post = async <T>(path: string, body?: unknown, options?: Options): Promise<One<T>> =>
  bodyOf<One<T>>(await send("POST", path, { ...options, body: body ?? {} }));

/** POST of a route that takes no body, such as cancel. */
export const act = async <T>(path: string, options?: Options): Promise<One<T>> =>
  bodyOf<One<T>>(await send("POST", path, options));

export const put = async <T>(path: string, body: unknown, options?: Options): Promise<One<T>> =>
  bodyOf<One<T>>(await send("PUT", path, { ...options, body }));

export const patch = async <T>(path: string, body: unknown, options?: Options): Promise<One<T>> =>
  bodyOf<One<T>>(await send("PATCH", path, { ...options, body }));

export const remove = async (path: string, options?: Options): Promise<void> => {
  await send("DELETE", path, options);
};
