import { type ReactNode, useEffect, useId, useRef } from "react";
import { Field } from "../../kit/form";
import { fullTime, instantOf, iso, localOf, ms, useZone } from "../../lib/time";

interface TextProps {
  label: ReactNode;
  value: string;
  onChange: (value: string) => void;
  error?: string | undefined;
  hint?: ReactNode;
  mono?: boolean;
  placeholder?: string;
  type?: string;
  disabled?: boolean;
  width?: string;
  list?: string;
  multiline?: boolean;
  rows?: number;
}

/** A text field with its label, hint and error. */
export function TextField({
  label,
  value,
  onChange,
  error,
  hint,
  mono,
  placeholder,
  type = "text",
  disabled,
  width,
  list,
  multiline,
  rows = 4,
}: TextProps) {
  return (
    <Field label={label} error={error} hint={hint}>
      {(props) => {
        const shared = {
          ...props,
          className: mono ? "input mono" : "input",
          value,
          placeholder,
          disabled,
          spellCheck: false,
          onChange: (event: { target: { value: string } }) => onChange(event.target.value),
        };
        return multiline ? (
          <textarea {...shared} rows={rows} />
        ) : (
          <input {...shared} type={type} list={list} style={width ? { width } : undefined} autoComplete="off" />
        );
      }}
    </Field>
  );
}

interface RadioProps<T extends string> {
  label: string;
  value: T;
  options: readonly { value: T; label: string; hint?: string }[];
  onChange: (value: T) => void;
  error?: string | undefined;
}

export function Radios<T extends string>({ label, value, options, onChange, error }: RadioProps<T>) {
  const name = useId();
  return (
    <fieldset className="radios" aria-invalid={error ? true : undefined}>
      <legend className="field-label">{label}</legend>
      {options.map((option) => (
        <label key={option.value}>
          <input type="radio" name={name} checked={option.value === value} onChange={() => onChange(option.value)} />
          <span>
            {option.label}
            {option.hint != null && <span className="hint">{option.hint}</span>}
          </span>
        </label>
      ))}
      {error != null && <span className="tone-bad">{error}</span>}
    </fieldset>
  );
}

interface InstantProps {
  label: string;
  /** RFC 3339, or what the user typed. */
  value: string;
  onChange: (value: string) => void;
  error?: string | undefined;
  hint?: string;
}

/** An instant, entered in the zone of the app. The zone stands beside it and the instant in UTC below. */
export function InstantField({ label, value, onChange, error, hint }: InstantProps) {
  const zone = useZone();
  const at = ms(value);
  const known = !Number.isNaN(at);
  return (
    <Field
      label={
        <>
          {label} <span className="meta">in {zone}</span>
        </>
      }
      error={error}
      hint={known ? fullTime(at, "UTC") : hint}
    >
      {(props) => (
        <input
          {...props}
          className="input"
          type="datetime-local"
          style={{ width: "220px" }}
          value={known ? localOf(at, zone) : ""}
          onChange={(event) => {
            const next = event.target.value === "" ? Number.NaN : instantOf(event.target.value, zone);
            onChange(Number.isNaN(next) ? "" : iso(next).replace(".000Z", "Z"));
          }}
        />
      )}
    </Field>
  );
}

/** A form whose first field with an error gets the focus. `mod+Enter` saves. */
export function Form({
  children,
  onSave,
  error,
  className,
}: {
  children: ReactNode;
  onSave: () => void;
  error: unknown;
  className?: string;
}) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (error == null) return;
    const invalid = form.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
    (invalid?.matches("fieldset") ? invalid.querySelector<HTMLElement>("input") : invalid)?.focus();
  }, [error]);
  return (
    <form
      ref={form}
      className={className ?? "col loose"}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        onSave();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) {
          event.preventDefault();
          onSave();
        }
      }}
    >
      {children}
    </form>
  );
}

/** Errors that belong to no field, at the top of a form. */
export function FormErrors({ errors }: { errors: readonly string[] }) {
  if (errors.length === 0) return null;
  return (
    <div className="banner tint-bad" role="alert">
      <ul className="grow">
        {errors.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </div>
  );
}
