import { get, onSignedOut, post, send } from "./http/client";
import { asProblem } from "./http/problem";
import { queryClient } from "./http/query";
import type { Identity, Role } from "./schema";
import { keepDraftsOf } from "./storage";
import { store, useStore } from "./store";

export interface Session {
  user: Identity;
  /** What the role may do: `editor` and everything below, or single routes. */
  rights: string[];
  expires_at: string | null;
}

export type SessionState =
  | { at: "unknown" }
  | { at: "linking" }
  | { at: "out"; why?: string }
  | { at: "in"; session: Session }
  /** It ended while the page was in use: a sheet asks for the password, and the page stays. */
  | { at: "expired"; session: Session; why: "ended" | "step_up" };

export const session = store<SessionState>({ at: "unknown" });

const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("attune-session") : undefined;
if (tabs) {
  tabs.onmessage = ({ data }: MessageEvent<"out" | "in">) => {
    if (data === "out") ended("You signed out in another tab.");
    else void restore();
  };
}

let waiting: (() => void)[] = [];

function begin(next: Session) {
  const before = session.get();
  if (before.at === "expired" && before.session.user.login !== next.user.login) queryClient.clear();
  keepDraftsOf(next.user.login);
  session.set({ at: "in", session: next });
  const resolved = waiting;
  waiting = [];
  for (const resume of resolved) resume();
  if (before.at === "expired") void queryClient.invalidateQueries();
}

function ended(why?: string) {
  queryClient.clear();
  session.set(why ? { at: "out", why } : { at: "out" });
}

/** The session ended on the server: keeps the page and waits for the next sign-in. */
export function expire(why: "ended" | "step_up"): Promise<void> {
  const now = session.get();
  if (now.at === "in") session.set({ at: "expired", session: now.session, why });
  if (session.get().at !== "expired") return Promise.reject(asProblem("not signed in"));
  return new Promise((resume) => waiting.push(resume));
}

/** Asks the server who is signed in. */
export async function restore(): Promise<void> {
  try {
    begin(await get<Session>("/auth/web/session", { background: true }));
  } catch (error) {
    const failed = asProblem(error);
    if (failed.problem.status === 401) {
      const now = session.get();
      if (now.at === "in") session.set({ at: "expired", session: now.session, why: "ended" });
      else if (now.at === "unknown") session.set({ at: "out" });
    } else if (session.get().at === "unknown") throw error;
  }
}

export async function signIn(login: string, password: string) {
  begin((await post<Session>("/auth/web/login", { login, password })).data);
  tabs?.postMessage("in");
}

/** Signs in with the one-time key of the link that `attune up` printed. */
export async function signInWithKey(k: string) {
  begin((await post<Session>("/auth/web/link", { k })).data);
  tabs?.postMessage("in");
}

export async function signOut() {
  await send("POST", "/auth/web/logout");
  tabs?.postMessage("out");
  ended();
}

/** Checks the session every 5 min while the page is visible. */
export function watchSession(): () => void {
  onSignedOut(expire);
  const timer = setInterval(() => {
    if (document.visibilityState === "visible" && session.get().at === "in") void restore().catch(() => undefined);
  }, 300_000);
  return () => {
    clearInterval(timer);
    onSignedOut(undefined);
  };
}

export function useSession(): Session {
  const now = useStore(session);
  if (now.at === "in" || now.at === "expired") return now.session;
  throw new Error("a page was shown without a session");
}

const order: Role[] = ["viewer", "operator", "editor", "admin"];
export const atLeast = (role: Role, needed: Role): boolean => order.indexOf(role) >= order.indexOf(needed);

/** Whether the user's role permits it, and otherwise the sentence that says why not. */
export function useMay(needed: Role): { may: boolean; why: string | undefined } {
  const { user } = useSession();
  const may = atLeast(user.role, needed);
  return { may, why: may ? undefined : `This needs the role ${needed}; ${user.login} has ${user.role}.` };
}
