import { Eye, EyeOff } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Button, IconButton } from "../../kit/button";
import { Dialog } from "../../kit/dialog";
import { Field } from "../../kit/form";
import { Banner } from "../../kit/states";
import { asProblem } from "../../lib/http/problem";
import { signIn } from "../../lib/session";
import "./session.css";

export function SignIn({ why }: { why?: string | undefined }) {
  return (
    <main className="login-page">
      <div className="card pad login-card col loose">
        <div className="row">
          <svg width="20" height="20" viewBox="0 0 16 16" aria-hidden="true" className="tone-run">
            <path d="M8 1 15 8 8 15 1 8Zm0 3.6L4.6 8 8 11.4 11.4 8Z" fill="currentColor" fillRule="evenodd" />
          </svg>
          <h1 className="grow">Attune</h1>
          <span className="meta">{window.location.host}</span>
        </div>
        {why && <Banner tone="late">{why}</Banner>}
        <SignInForm />
        <p className="meta">
          First start? Open the sign-in link that <code>attune up</code> printed.
        </p>
      </div>
    </main>
  );
}

/** Over the page, which keeps its drafts. */
export function SignInSheet({ login, why }: { login: string; why: "ended" | "step_up" }) {
  const ended = why === "ended";
  return (
    <Dialog open onClose={() => undefined} title={ended ? "Your session has ended" : "Enter your password"} sticky>
      <p className="soft">
        {ended
          ? "Sign in to continue. The page and your drafts are kept."
          : "What you are about to do needs your password, because you entered it more than 10 minutes ago."}
      </p>
      <SignInForm login={login} />
    </Dialog>
  );
}

function SignInForm({ login: known = "" }: { login?: string }) {
  const [login, setLogin] = useState(known);
  const [password, setPassword] = useState("");
  const [visible, setVisible] = useState(false);
  const [pending, setPending] = useState(false);
  const [error, setError] = useState<string>();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setPending(true);
    setError(undefined);
    try {
      await signIn(login, password);
    } catch (failed) {
      const { problem } = asProblem(failed);
      setError(problem.status === 401 ? "Incorrect login or password." : problem.detail);
      setPending(false);
    }
  };
  return (
    <form className="col loose" onSubmit={submit}>
      <Field label="Login">
        {(props) => (
          <input
            {...props}
            className="input"
            name="login"
            autoComplete="username"
            autoCapitalize="off"
            spellCheck={false}
            required
            // biome-ignore lint/a11y/noAutofocus: it is the only purpose of the page.
            autoFocus={!known}
            value={login}
            onChange={(event) => setLogin(event.target.value)}
          />
        )}
      </Field>
      <Field label="Password" error={error}>
        {(props) => (
          <span className="row">
            <input
              {...props}
              className="input"
              name="password"
              type={visible ? "text" : "password"}
              autoComplete="current-password"
              required
              // biome-ignore lint/a11y/noAutofocus: see above.
              autoFocus={known !== ""}
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
            <IconButton
              name={visible ? "Hide the password" : "Show the password"}
              icon={visible ? <EyeOff size={16} /> : <Eye size={16} />}
              onClick={() => setVisible(!visible)}
            />
          </span>
        )}
      </Field>
      <Button type="submit" look="primary" pending={pending}>
        Sign in
      </Button>
    </form>
  );
}
