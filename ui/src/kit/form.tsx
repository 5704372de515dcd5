import { Switch as Radix } from "radix-ui";
import { type ReactNode, useId } from "react";
import { Glyph } from "./glyph";

interface ControlProps {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": true | undefined;
}

interface FieldProps {
  label: ReactNode;
  hint?: ReactNode;
  error?: string | undefined;
  /** The control; spread the properties on it. */
  children: (props: ControlProps) => ReactNode;
}

/** Label, control, hint and error, connected for screen readers. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const described = [error && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(" ") || undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-describedby": described, "aria-invalid": error ? true : undefined })}
      {error && (
        <span className="error" id={`${id}-error`} role="alert">
          <Glyph name="failed" tone="bad" size={14} /> {error}
        </span>
      )}
      {hint && (
        <span className="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
    </div>
  );
}

interface SwitchProps {
  on: boolean;
  onChange: (on: boolean) => void;
  /** What it switches. */
  name: string;
  why?: string | undefined;
}

export function Switch({ on, onChange, name, why }: SwitchProps) {
  return (
    <Radix.Root
      className="switch"
      checked={on}
      onCheckedChange={onChange}
      aria-label={name}
      disabled={why !== undefined}
      title={why ?? name}
      onClick={(event) => event.stopPropagation()}
    >
      <Radix.Thumb />
    </Radix.Root>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
}

/** A few values next to each other, one of them chosen. */
export function Choice<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  return (
    <fieldset className="choice" aria-label={label}>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          className="chip"
          aria-pressed={option.value === value}
          onClick={() => onChange(option.value)}
        >
          {option.label}
        </button>
      ))}
    </fieldset>
  );
}
