import { useId } from "react";
import { Field } from "../../kit/form";

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
  error?: string | undefined;
  options: readonly { ref: string; label: string }[] | undefined;
}

/** A ref, with completion. */
export function RefField({ label, value, onChange, error, options }: Props) {
  const list = useId();
  const found = options?.find((option) => option.ref === value);
  const unknown = value !== "" && options !== undefined && found === undefined ? "Nothing has this ref." : undefined;
  return (
    <Field label={label} error={error} hint={found && found.label !== found.ref ? found.label : unknown}>
      {(props) => (
        <>
          <input
            {...props}
            className="input mono"
            list={list}
            spellCheck={false}
            autoComplete="off"
            placeholder="pack.name"
            value={value}
            onChange={(event) => onChange(event.target.value)}
          />
          <datalist id={list}>
            {options?.map((option) => (
              <option key={option.ref} value={option.ref}>
                {option.label}
              </option>
            ))}
          </datalist>
        </>
      )}
    </Field>
  );
}
