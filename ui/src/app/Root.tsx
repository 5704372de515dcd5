import { useEffect, useState } from "react";
import { SignIn, SignInSheet } from "../features/session/SignIn";
import { ProblemView } from "../kit/states";
import { Toasts } from "../kit/toast";
import { startLive } from "../lib/live";
import { restore, session, watchSession } from "../lib/session";
import { useStore } from "../lib/store";
import { Shell } from "./Shell";

/** Shows a page only to a user who is signed in. */
export function Root() {
  const now = useStore(session);
  const [failed, setFailed] = useState<unknown>();
  useEffect(() => {
    const load = () => {
      setFailed(undefined);
      if (session.get().at === "unknown") restore().catch(setFailed);
    };
    load();
    return watchSession();
  }, []);

  const signedIn = now.at === "in";
  useEffect(() => {
    if (!signedIn) return;
    return startLive(() => void restore().catch(() => undefined));
  }, [signedIn]);

  if (now.at === "unknown" || now.at === "linking") {
    if (!failed) return <div className="login-page" aria-busy="true" />;
    return (
      <main className="login-page">
        <ProblemView error={failed} retry={() => window.location.reload()} />
      </main>
    );
  }
  if (now.at === "out") return <SignIn why={now.why} />;
  return (
    <>
      <Shell />
      {now.at === "expired" && <SignInSheet login={now.session.user.login} why={now.why} />}
      <Toasts />
    </>
  );
}
