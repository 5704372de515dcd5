import { useQuery } from "@tanstack/react-query";
import { Button } from "../../kit/button";
import { Choice, Field } from "../../kit/form";
import { StateBadge } from "../../kit/glyph";
import { JsonView } from "../../kit/json";
import { clockTime, useZone } from "../../lib/time";
import type { Answer } from "../definitions/useAnswer";
import { type DryRun, recentEvents } from "./api";
import { verdictMark } from "./marks";
import { clauseWords } from "./words";

export interface Sample {
  source: "event" | "sample";
  eventId: string;
  text: string;
}

interface Props {
  trigger: string;
  sample: Sample;
  onSample: (next: Sample) => void;
  answer: Answer<DryRun>;
  sampleError: string | undefined;
  /** Adds what makes a missing field decide the clause. */
  onGuard: (() => void) | undefined;
}

const SOURCES = [
  { value: "event", label: "stored event" },
  { value: "sample", label: "sample" },
] as const;

export function TestPanel({ trigger, sample, onSample, answer, sampleError, onGuard }: Props) {
  const events = useQuery(recentEvents(trigger));
  const zone = useZone();
  const stored = events.data?.data ?? [];
  return (
    <section className="card" aria-label="Test" aria-busy={answer.pending}>
      <header>
        <h2>Test</h2>
        <span className="meta push">runs nothing</span>
      </header>
      <div className="col loose" style={{ padding: 16 }}>
        <Choice
          label="Test with"
          value={sample.source}
          options={SOURCES}
          onChange={(source) => onSample({ ...sample, source })}
        />
        {sample.source === "event" ? (
          <Field
            label="Event"
            hint={stored.length === 0 && events.data ? "No event of this trigger is stored. Use a sample." : undefined}
          >
            {(props) => (
              <select
                {...props}
                className="input mono"
                value={sample.eventId || (stored[0]?.id ?? "")}
                onChange={(event) => onSample({ ...sample, eventId: event.target.value })}
              >
                {stored.map((event) => (
                  <option key={event.id} value={event.id}>
                    {clockTime(event.received_at, zone)} {JSON.stringify(event.payload).slice(0, 80)}
                  </option>
                ))}
              </select>
            )}
          </Field>
        ) : (
          <Field label="Payload" error={sampleError}>
            {(props) => (
              <textarea
                {...props}
                className="input mono"
                rows={7}
                spellCheck={false}
                value={sample.text}
                onChange={(event) => onSample({ ...sample, text: event.target.value })}
              />
            )}
          </Field>
        )}
        <Result answer={answer} onGuard={onGuard} />
      </div>
    </section>
  );
}

function Result({ answer, onGuard }: { answer: Answer<DryRun>; onGuard: (() => void) | undefined }) {
  if (answer.error)
    return (
      <p className="tone-bad">
        {answer.error.problem.errors.length > 0 ? "The rule has errors; see the fields." : answer.error.problem.detail}
      </p>
    );
  const run = answer.data;
  if (!run)
    return (
      <p className="meta">
        {answer.pending ? "Asking the server …" : "Choose a trigger and an event to test the rule."}
      </p>
    );
  if (run.decision === "enforce") {
    return (
      <div className="col">
        <StateBadge mark={{ ...verdictMark("matched"), word: "matches" }} />
        <p className="soft">It would start the action with</p>
        <JsonView value={run.parameters} name="The parameters" />
      </div>
    );
  }
  if (run.decision === "fail") {
    return (
      <div className="col">
        <StateBadge mark={verdictMark("undecidable")} />
        <p>{run.reason}</p>
        {onGuard && (
          <span>
            <Button small onClick={onGuard}>
              Require that the field exists
            </Button>
          </span>
        )}
      </div>
    );
  }
  return (
    <div className="col">
      <StateBadge mark={{ ...verdictMark("not_matched"), word: "does not match" }} />
      <p>
        {run.why.why === "condition"
          ? clauseWords(run.why.clause)
          : run.why.why === "disabled"
            ? "The rule is disabled."
            : "The rule was created after this event."}
      </p>
    </div>
  );
}
