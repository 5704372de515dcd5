import { type ReactNode, useState } from "react";
import { Field } from "../../kit/form";

interface Props {
  label: ReactNode;
  value: unknown;
  onChange: (value: unknown) => void;
  error?: string | undefined;
  hint?: ReactNode;
  rows?: number;
}

/** A JSON value as text. Invalid JSON stays in the field and changes nothing. */
export function JsonField({ label, value, onChange, error, hint, rows = 5 }: Props) {
  const [text, setText] = useState(() => (value === undefined ? "" : JSON.stringify(value, null, 2)));
  const [wrong, setWrong] = useState<string | undefined>();
  const read = (next: string) => {
    setText(next);
    if (next.trim() === "") {
      setWrong(undefined);
      onChange(undefined);
      return;
    }
    try {
      onChange(JSON.parse(next));
      setWrong(undefined);
    } catch (failed) {
      setWrong(failed instanceof Error ? failed.message : "not JSON");
    }
  };
  return (
    <Field label={label} error={wrong ?? error} hint={hint}>
      {(props) => (
        <textarea
          {...props}
          className="input mono"
          rows={rows}
          spellCheck={false}
          value={text}
          onChange={(event) => read(event.target.value)}
        />
      )}
    </Field>
  );
}
