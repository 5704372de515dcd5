import { Field } from "../../kit/form";
import { TextField } from "../definitions/form";
import { PROFILES, type Profile, type WebhookDraft } from "./model";

interface Props {
  draft: WebhookDraft;
  set: (change: Partial<WebhookDraft>) => void;
  at: Record<string, string>;
}

export const FIELDS = [
  "ref",
  "label",
  ...["verify", "secret", "header", "algorithm", "encoding", "prefix", "dedup", "wait_seconds"].map(
    (name) => `config.${name}`,
  ),
];

/** The settings of a webhook. Fields that a profile does not use are not shown. */
export function WebhookFields({ draft, set, at }: Props) {
  const profile = PROFILES.find((one) => one.id === draft.verify);
  return (
    <>
      <Field label="Who calls it" error={at["config.verify"]} hint={profile?.hint}>
        {(props) => (
          <select
            {...props}
            className="input auto"
            value={draft.verify}
            onChange={(event) => set({ verify: event.target.value as Profile })}
          >
            {PROFILES.map((one) => (
              <option key={one.id} value={one.id}>
                {one.label}
              </option>
            ))}
          </select>
        )}
      </Field>
      {draft.verify === "none" ? (
        <label className="row">
          <input
            type="checkbox"
            checked={draft.openAccepted}
            onChange={(event) => set({ openAccepted: event.target.checked })}
          />{" "}
          Anyone who knows the URL can call this webhook
        </label>
      ) : (
        <TextField
          label="Secret"
          type="password"
          value={draft.secret}
          onChange={(secret) => set({ secret })}
          error={at["config.secret"]}
          hint="Shared with the sender, at least 8 characters. It is stored encrypted and not shown again."
        />
      )}
      {draft.verify === "generic" && (
        <>
          <TextField
            label="Header with the signature"
            mono
            value={draft.header}
            onChange={(header) => set({ header })}
            error={at["config.header"]}
            placeholder="x-signature"
          />
          <div className="row wrap" style={{ gap: 16, alignItems: "flex-start" }}>
            <Pick
              label="Algorithm"
              value={draft.algorithm}
              options={["sha256", "sha512", "sha1"]}
              onChange={(algorithm) => set({ algorithm })}
              error={at["config.algorithm"]}
            />
            <Pick
              label="Encoding"
              value={draft.encoding}
              options={["hex", "base64"]}
              onChange={(encoding) => set({ encoding })}
              error={at["config.encoding"]}
            />
            <TextField
              label="Text before the signature"
              mono
              width="160px"
              value={draft.prefix}
              onChange={(prefix) => set({ prefix })}
              error={at["config.prefix"]}
              placeholder="sha256="
            />
          </div>
        </>
      )}
      <Dedup draft={draft} set={set} at={at} />
      <TextField
        label="Wait for the executions (seconds)"
        width="120px"
        value={draft.wait_seconds}
        placeholder="do not wait"
        onChange={(wait_seconds) => set({ wait_seconds })}
        error={at["config.wait_seconds"]}
        hint="1 to 30. The response then contains the results."
      />
    </>
  );
}

function Pick({
  label,
  value,
  options,
  onChange,
  error,
}: {
  label: string;
  value: string;
  options: string[];
  onChange: (value: string) => void;
  error: string | undefined;
}) {
  return (
    <Field label={label} error={error}>
      {(props) => (
        <select {...props} className="input auto" value={value} onChange={(event) => onChange(event.target.value)}>
          {options.map((option) => (
            <option key={option}>{option}</option>
          ))}
        </select>
      )}
    </Field>
  );
}

function Dedup({ draft, set, at }: Props) {
  const named = draft.dedupKind === "header" || draft.dedupKind === "pointer";
  const unsafe = draft.verify === "generic" && draft.dedupKind === "profile";
  return (
    <div className="row wrap" style={{ gap: 16, alignItems: "flex-start" }}>
      <Field
        label="What identifies a delivery"
        error={at["config.dedup"]}
        hint={
          unsafe
            ? "The same signed request sent twice creates two events. Name a field of the body if it has an id."
            : "A repeated delivery creates no second event."
        }
      >
        {(props) => (
          <select
            {...props}
            className="input auto"
            value={draft.dedupKind}
            onChange={(event) => set({ dedupKind: event.target.value as WebhookDraft["dedupKind"] })}
          >
            <option value="profile">what the sender provides</option>
            <option value="pointer">a field of the body</option>
            <option value="header">a header</option>
            <option value="none">nothing: every delivery counts</option>
          </select>
        )}
      </Field>
      {named && (
        <TextField
          label={draft.dedupKind === "header" ? "Header" : "Pointer into the body"}
          mono
          width="200px"
          value={draft.dedup}
          onChange={(dedup) => set({ dedup })}
          placeholder={draft.dedupKind === "header" ? "x-delivery-id" : "/order/id"}
        />
      )}
    </div>
  );
}
