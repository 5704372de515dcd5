import { Plus, X } from "lucide-react";
import { Button, IconButton } from "../../kit/button";
import { Choice, Field, Switch } from "../../kit/form";
import { TextField } from "../definitions/form";
import { JsonField } from "../definitions/JsonField";
import { bounds, type Labelled, List, type OneProps, Pick, placeholder, Text } from "./controls";
import { MapField } from "./MapField";
import {
  type Control,
  errorAt,
  initial,
  type Json,
  numberOf,
  type Field as Spec,
  variantOf,
  withProperty,
} from "./model";

type Values = Record<string, Json>;

export interface FieldsProps {
  fields: readonly Spec[];
  value: Values;
  onChange: (next: Values) => void;
  /** Where the value is: empty, or `items[2]`. */
  path: string;
  errors: readonly { path: string; message: string }[];
}

/** The controls of an object. */
export function SchemaFields({ fields, value, onChange, path, errors }: FieldsProps) {
  return fields.map((spec) => {
    const at = path === "" ? spec.name : `${path}.${spec.name}`;
    return (
      <One
        key={spec.name}
        spec={spec}
        path={at}
        value={value[spec.name]}
        errors={errors}
        onChange={(next) => onChange(withProperty(value, spec.name, next))}
      />
    );
  });
}

function One(props: OneProps) {
  const { spec, path, value, onChange, errors } = props;
  const { control } = spec;
  const label = spec.required ? (
    spec.label
  ) : (
    <>
      {spec.label} <span className="meta">optional</span>
    </>
  );
  const error = errorAt(errors, "parameters", path);
  switch (control.as) {
    case "text":
      return <Text {...props} control={control} label={label} error={error} />;
    case "number":
      return (
        <TextField
          label={label}
          error={error}
          width="160px"
          value={value === undefined ? "" : String(value)}
          placeholder={placeholder(spec)}
          hint={[spec.hint, bounds(control)].filter(Boolean).join(" ")}
          onChange={(text) => onChange(numberOf(text))}
        />
      );
    case "switch":
      return (
        <Field
          label={label}
          error={error}
          hint={spec.hint || (spec.default === undefined ? undefined : `Default: ${spec.default ? "on" : "off"}`)}
        >
          {() => <Switch on={(value ?? spec.default) === true} onChange={(on) => onChange(on)} name={spec.label} />}
        </Field>
      );
    case "choice":
      return <Pick {...props} control={control} error={error} />;
    case "list":
      return <List {...props} control={control} label={label} error={error} />;
    case "rows":
      return <Rows {...props} control={control} error={error} />;
    case "group":
      return (
        <fieldset className="row-form col loose">
          <legend className="field-label">{label}</legend>
          {spec.hint && <p className="meta">{spec.hint}</p>}
          <SchemaFields
            fields={control.fields}
            value={objectOf(value)}
            onChange={(next) => onChange(Object.keys(next).length === 0 ? undefined : next)}
            path={path}
            errors={errors}
          />
        </fieldset>
      );
    case "variants":
      return <Variants {...props} control={control} />;
    case "map":
      return (
        <MapField
          label={label}
          hint={spec.hint}
          error={error}
          value={objectOf(value)}
          onChange={(next) => onChange(Object.keys(next).length === 0 ? undefined : next)}
        />
      );
    default:
      return (
        <JsonField
          label={label}
          hint={spec.hint || "JSON"}
          error={error}
          value={value ?? spec.default}
          onChange={(next) => onChange(next as Json | undefined)}
        />
      );
  }
}

const objectOf = (value: Json | undefined): Values =>
  value != null && typeof value === "object" && !Array.isArray(value) ? value : {};
function Rows({ spec, control, path, error, value, onChange, errors }: Omit<Labelled<"rows">, "label">) {
  const items = Array.isArray(value) ? value : [];
  const set = (next: Json[]) => onChange(next.length === 0 ? undefined : next);
  return (
    <fieldset className="col bare">
      <legend className="field-label">{spec.label}</legend>
      {spec.hint && <p className="meta">{spec.hint}</p>}
      {error !== undefined && <span className="tone-bad">{error}</span>}
      {items.map((item, i) => (
        <div key={i} className="row-form col">
          <span className="row">
            <span className="meta grow">
              {spec.label} {i + 1}
            </span>
            <IconButton
              small
              name={`Remove ${spec.label} ${i + 1}`}
              icon={<X size={14} />}
              onClick={() => set(items.filter((_, k) => k !== i))}
            />
          </span>
          <SchemaFields
            fields={control.fields}
            value={objectOf(item)}
            onChange={(next) => set(items.map((old, k) => (k === i ? next : old)))}
            path={`${path}[${i}]`}
            errors={errors}
          />
        </div>
      ))}
      <span>
        <Button small onClick={() => set([...items, initial(control.fields)])}>
          <Plus size={13} aria-hidden /> Add
        </Button>
      </span>
    </fieldset>
  );
}

function Variants({
  spec,
  control,
  path,
  value,
  onChange,
  errors,
}: OneProps & { control: Extract<Control, { as: "variants" }> }) {
  const chosen = variantOf(control, value);
  const variant = control.variants[chosen];
  const options = control.variants.map((one, i) => ({ value: String(i), label: one.label }));
  return (
    <fieldset className="row-form col loose">
      <legend className="field-label">{spec.label}</legend>
      <Choice
        label={spec.label}
        value={String(chosen)}
        options={options}
        onChange={(i) => onChange({ ...(control.variants[Number(i)]?.fixed ?? {}) })}
      />
      {variant && (
        <SchemaFields
          fields={variant.fields}
          value={objectOf(value)}
          onChange={(next) => onChange({ ...variant.fixed, ...next })}
          path={path}
          errors={errors}
        />
      )}
    </fieldset>
  );
}
