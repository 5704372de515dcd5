import { Switch } from "../../kit/form";
import { useMay } from "../../lib/session";
import { useSwitch } from "./api";

interface Props {
  noun: "triggers" | "rules" | "packs";
  refName: string;
  on: boolean;
  /** Writes the state beside it. */
  words?: boolean;
}

/** Enables or disables a definition at once; the toast offers to take it back. */
export function OnSwitch({ noun, refName, on, words }: Props) {
  const { change, shown } = useSwitch(noun);
  const { why } = useMay("operator");
  const now = shown(refName, on);
  const control = (
    <Switch
      on={now}
      onChange={(next) => change(refName, next)}
      name={words ? "Enabled" : `Enabled: ${refName}`}
      why={why}
    />
  );
  if (!words) return control;
  return (
    <span className="row">
      {control} {now ? "Enabled" : "Disabled"}
    </span>
  );
}
