import { Plus, X } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Button, IconButton } from "../../kit/button";
import type { Json } from "./model";

interface Props {
  label: ReactNode;
  hint: string;
  error: string | undefined;
  value: Record<string, Json>;
  onChange: (next: Record<string, Json>) => void;
}

/** Names and texts. Rows keep their order while names change; a row without a name is not sent. */
export function MapField({ label, hint, error, value, onChange }: Props) {
  const [rows, setRows] = useState<[string, string][]>(() =>
    Object.entries(value).map(([name, one]) => [name, String(one)]),
  );
  const set = (next: [string, string][]) => {
    setRows(next);
    onChange(Object.fromEntries(next.filter(([name]) => name !== "")));
  };
  return (
    <fieldset className="col bare">
      <legend className="field-label">{label}</legend>
      {hint && <p className="meta">{hint}</p>}
      {error !== undefined && <span className="tone-bad">{error}</span>}
      {rows.map(([name, text], i) => (
        <span key={i} className="row">
          <input
            className="input mono"
            aria-label={`Name ${i + 1}`}
            placeholder="name"
            value={name}
            onChange={(event) => set(rows.map((row, k) => (k === i ? [event.target.value, text] : row)))}
          />
          <input
            className="input mono"
            aria-label={`Value ${i + 1}`}
            placeholder="value"
            value={text}
            onChange={(event) => set(rows.map((row, k) => (k === i ? [name, event.target.value] : row)))}
          />
          <IconButton
            small
            name={`Remove row ${i + 1}`}
            icon={<X size={14} />}
            onClick={() => set(rows.filter((_, k) => k !== i))}
          />
        </span>
      ))}
      <span>
        <Button small onClick={() => set([...rows, ["", ""]])}>
          <Plus size={13} aria-hidden /> Add
        </Button>
      </span>
    </fieldset>
  );
}
