import { asProblem } from "../../lib/http/problem";
import { session, signInWithKey } from "../../lib/session";

/** Takes the one-time key of a sign-in link out of the address before any request, and signs in with it. */
export function takeSignInKey() {
  const key = /^#k=([\w-]+)$/.exec(window.location.hash)?.[1];
  if (!key) return;
  window.history.replaceState(null, "", window.location.pathname);
  session.set({ at: "linking" });
  signInWithKey(key).catch((error) => {
    const { problem } = asProblem(error);
    const detail = problem.detail.slice(0, 1).toUpperCase() + problem.detail.slice(1);
    session.set({ at: "out", why: `${detail}. Sign in with your password.` });
  });
}
