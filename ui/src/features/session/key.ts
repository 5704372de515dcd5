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
    session.set({ at: "out", why: problem.status === 401 || problem.status === 403 ? usedUp : problem.detail });
  });
}

const usedUp =
  "This link was already used or is older than 10 minutes. Sign in with your password, or restart Attune for a new link.";
