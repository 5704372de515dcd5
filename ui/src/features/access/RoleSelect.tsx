import { Field } from "../../kit/form";
import type { Role } from "../../lib/schema";
import { ROLE_WORDS } from "./words";

interface Props {
  value: Role;
  roles: readonly Role[];
  onChange: (role: Role) => void;
  error?: string | undefined;
}

export function RoleSelect({ value, roles, onChange, error }: Props) {
  return (
    <Field label="Role" error={error} hint={`${value} ${ROLE_WORDS[value]}.`}>
      {(props) => (
        <select
          {...props}
          className="input auto"
          value={value}
          onChange={(event) => onChange(event.target.value as Role)}
        >
          {roles.map((role) => (
            <option key={role}>{role}</option>
          ))}
        </select>
      )}
    </Field>
  );
}
