import type { ReactNode } from "react";
import { Field } from "../../kit/form";
import { InstantField, Radios, TextField } from "../definitions/form";
import { type Control, type Json, numberOf, type Field as Spec } from "./model";

export interface OneProps {
  spec: Spec;
  path: string;
  value: Json | undefined;
  onChange: (next: Json | undefined) => void;
  errors: readonly { path: string; message: string }[];
}

export const placeholder = (spec: Spec) => (spec.default === undefined ? undefined : String(spec.default));

export function bounds(control: Extract<Control, { as: "number" }>): string {
  const { min, max } = control;
  if (min !== undefined && max !== undefined) return `From ${min} to ${max}.`;
  if (min !== undefined) return `At least ${min}.`;
  return max === undefined ? "" : `At most ${max}.`;
}

export type Labelled<C extends Control["as"]> = OneProps & {
  control: Extract<Control, { as: C }>;
  label: ReactNode;
  error: string | undefined;
};

export function Text({ spec, control, label, error, value, onChange }: Labelled<"text">) {
  const text = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
  if (control.format === "date-time") {
    return (
      <InstantField
        label={spec.label}
        value={text}
        onChange={(next) => onChange(next === "" ? undefined : next)}
        error={error}
        hint={spec.hint}
      />
    );
  }
  const count = control.max === undefined ? "" : `${text.length} of ${control.max} characters.`;
  return (
    <TextField
      label={label}
      error={error}
      value={text}
      multiline={control.multiline}
      placeholder={placeholder(spec)}
      hint={[spec.hint, count].filter(Boolean).join(" ")}
      type={control.secret ? "password" : "text"}
      mono={!control.secret && control.format !== undefined}
      onChange={(next) => onChange(next === "" ? undefined : next)}
    />
  );
}

export function Pick({ spec, control, error, value, onChange }: Omit<Labelled<"choice">, "label">) {
  const chosen = control.options.findIndex((option) => option.value === (value ?? spec.default));
  if (control.options.length <= 7) {
    const options = control.options.map((option, i) => ({ value: String(i), label: option.label }));
    return (
      <Radios
        label={spec.label}
        value={String(chosen)}
        options={options}
        onChange={(i) => onChange(control.options[Number(i)]?.value)}
        error={error}
      />
    );
  }
  return (
    <Field label={spec.label} error={error} hint={spec.hint}>
      {(props) => (
        <select
          {...props}
          className="input auto"
          value={chosen}
          onChange={(event) => onChange(control.options[Number(event.target.value)]?.value)}
        >
          <option value={-1}>–</option>
          {control.options.map((option, i) => (
            <option key={option.label} value={i}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** A list of texts or numbers, one per line. */
export function List({ spec, control, label, error, value, onChange }: Labelled<"list">) {
  const items = Array.isArray(value) ? value : [];
  const change = (text: string) => {
    if (text === "") return onChange(undefined);
    const lines = text.split("\n");
    return onChange(control.of === "number" ? lines.map((line) => numberOf(line) ?? "") : lines);
  };
  return (
    <TextField
      label={label}
      error={error}
      multiline
      rows={Math.min(8, Math.max(2, items.length + 1))}
      mono
      value={items.map(String).join("\n")}
      onChange={change}
      hint={[spec.hint, "One per line."].filter(Boolean).join(" ")}
    />
  );
}
