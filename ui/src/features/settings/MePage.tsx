import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Button } from "../../kit/button";
import { Choice, Field, Switch } from "../../kit/form";
import { Page } from "../../kit/page";
import { fieldErrors } from "../../kit/problems";
import { Time } from "../../kit/time";
import { toast } from "../../kit/toast";
import { ZoneField } from "../../kit/zone";
import { prefer, preferences } from "../../lib/preferences";
import { useSession } from "../../lib/session";
import { useStore } from "../../lib/store";
import { changePassword } from "./api";
import { SettingsTabs } from "./SettingsTabs";

export default function MePage() {
  const { user, expires_at } = useSession();
  const { theme, density, zone, singleKeys } = useStore(preferences);
  return (
    <Page title="My settings" heading="Settings">
      <SettingsTabs here="/settings/me" />
      <section className="card pad col loose settings-card">
        <h2>Display</h2>
        <div className="field">
          <span className="field-label">Theme</span>
          <Choice
            label="Theme"
            value={theme}
            options={[
              { value: "system", label: "As the system" },
              { value: "light", label: "Light" },
              { value: "dark", label: "Dark" },
            ]}
            onChange={(next) => prefer({ theme: next })}
          />
        </div>
        <div className="field">
          <span className="field-label">Rows of tables</span>
          <Choice
            label="Rows of tables"
            value={density}
            options={[
              { value: "comfortable", label: "Comfortable" },
              { value: "normal", label: "Normal" },
              { value: "compact", label: "Compact" },
            ]}
            onChange={(next) => prefer({ density: next })}
          />
        </div>
        <ZoneField value={zone} onChange={(next) => prefer({ zone: next })} />
        <div className="row">
          <Switch name="Keys of one letter" on={singleKeys} onChange={(on) => prefer({ singleKeys: on })} />
          <span>Keys of one letter, such as j and k. Ctrl K always works.</span>
        </div>
        <p className="meta">This browser remembers these choices.</p>
      </section>
      <section className="card pad col loose settings-card">
        <h2>Account</h2>
        <dl className="facts">
          <dt>Login</dt>
          <dd>{user.login}</dd>
          <dt>Name</dt>
          <dd>{user.display_name}</dd>
          <dt>Role</dt>
          <dd>{user.role}</dd>
          {expires_at && (
            <>
              <dt>Signed in until</dt>
              <dd>
                <Time at={expires_at} show="both" />
              </dd>
            </>
          )}
        </dl>
        <PasswordForm />
      </section>
    </Page>
  );
}

function PasswordForm() {
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  const change = useMutation({
    mutationFn: () => changePassword(old, next),
    onSuccess: () => {
      setOld("");
      setNext("");
      toast("Your password is changed. Other sessions have ended.", { tone: "ok" });
    },
  });
  const errors = fieldErrors(change.error, ["current_password", "new_password"]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  return (
    <form className="col loose" onSubmit={submit}>
      <h3>Change the password</h3>
      <Field label="Current password" error={errors.at.current_password ?? errors.rest[0]}>
        {(props) => (
          <input
            {...props}
            type="password"
            className="input"
            autoComplete="current-password"
            required
            value={old}
            onChange={(event) => setOld(event.target.value)}
          />
        )}
      </Field>
      <Field label="New password" error={errors.at.new_password} hint="At least 12 characters.">
        {(props) => (
          <input
            {...props}
            type="password"
            className="input"
            autoComplete="new-password"
            required
            value={next}
            onChange={(event) => setNext(event.target.value)}
          />
        )}
      </Field>
      <div>
        <Button type="submit" pending={change.isPending}>
          Change the password
        </Button>
      </div>
    </form>
  );
}
