import { browserZone, clockTime, useNow, zoneOf, zones } from "../lib/time";
import { Field } from "./form";

/** The choice of a zone: mine, UTC, or any other. */
export function ZoneField({ value, onChange }: { value: string; onChange: (zone: string) => void }) {
  const now = useNow(1);
  return (
    <Field label="Zone" hint={`There it is ${clockTime(now, zoneOf(value))} now.`}>
      {(props) => (
        <select {...props} className="input" value={value} onChange={(event) => onChange(event.target.value)}>
          <option value="mine">Mine: {browserZone()}</option>
          <option value="utc">UTC</option>
          {zones()
            .filter((zone) => zone !== "UTC")
            .map((zone) => (
              <option key={zone} value={zone}>
                {zone}
              </option>
            ))}
        </select>
      )}
    </Field>
  );
}
