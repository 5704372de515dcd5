import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Field } from "../../kit/form";
import { fieldErrors } from "../../kit/problems";
import { Time } from "../../kit/time";
import { zones } from "../../lib/time";
import { preview } from "./api";
import { type Choices, timerConfig } from "./model";

interface Props {
  choices: Choices;
  onChange: (choices: Choices) => void;
  error: string | undefined;
}

const intervals = [
  ["10s", "10 seconds"],
  ["30s", "30 seconds"],
  ["1m", "minute"],
  ["5m", "5 minutes"],
  ["1h", "hour"],
] as const;

/** A sentence with blanks: when, and what. */
export function SentenceForm({ choices, onChange, error }: Props) {
  const set = (change: Partial<Choices>) => onChange({ ...choices, ...change });
  return (
    <div className="card pad col loose">
      <p className="sentence">
        {choices.start === "interval" && (
          <>
            Every
            <select
              className="input auto"
              aria-label="Every"
              value={choices.every}
              onChange={(event) => set({ every: event.target.value })}
            >
              {intervals.map(([value, label]) => (
                <option key={value} value={value}>
                  {label}
                </option>
              ))}
            </select>
            run a shell command:
          </>
        )}
        {choices.start === "time" && (
          <>
            At
            <input
              type="time"
              className="input auto"
              aria-label="Time"
              required
              value={choices.at}
              onChange={(event) => set({ at: event.target.value || "09:00" })}
            />
            <select
              className="input auto"
              aria-label="Days"
              value={choices.days}
              onChange={(event) => set({ days: event.target.value as Choices["days"] })}
            >
              <option value="every">every day</option>
              <option value="weekdays">on weekdays</option>
              <option value="monday">on Mondays</option>
            </select>
            in
            <select
              className="input auto"
              aria-label="Zone"
              value={choices.zone}
              onChange={(event) => set({ zone: event.target.value })}
            >
              {zones().map((zone) => (
                <option key={zone}>{zone}</option>
              ))}
            </select>
            run a shell command:
          </>
        )}
        {choices.start === "webhook" && "When the webhook is called, run a shell command:"}
        {choices.start === "manual" && "When I press the button, run a shell command:"}
      </p>
      <Field label={<span className="hidden-text">Shell command</span>} error={error}>
        {(props) => (
          <textarea
            {...props}
            className="input mono"
            rows={Math.min(8, choices.command.split("\n").length + 1)}
            spellCheck={false}
            value={choices.command}
            onChange={(event) => set({ command: event.target.value })}
          />
        )}
      </Field>
      <NextFires choices={choices} />
    </div>
  );
}

/** The server says when it fires; nothing is computed here. */
function NextFires({ choices }: { choices: Choices }) {
  const config = timerConfig(choices);
  const wanted = JSON.stringify(config);
  const [requested, setRequested] = useState(wanted);
  useEffect(() => {
    const timer = setTimeout(() => setRequested(wanted), 250);
    return () => clearTimeout(timer);
  }, [wanted]);
  const query = useQuery({
    queryKey: ["timers", "preview", requested],
    queryFn: ({ signal }) => preview(JSON.parse(requested ?? "null"), signal),
    enabled: requested !== undefined,
    placeholderData: (before) => before,
  });
  if (!config) return null;
  if (query.error) {
    const errors = fieldErrors(query.error, ["config"]);
    return <p className="tone-bad">{errors.at.config ?? errors.rest[0]}</p>;
  }
  return (
    <p className="soft row wrap">
      Next:
      {query.data?.slice(0, 5).map((occurrence) => (
        <span key={occurrence.scheduled_at} className="tag num">
          <Time at={occurrence.scheduled_at} />
        </span>
      ))}
    </p>
  );
}
