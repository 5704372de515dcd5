import { DurationText } from "../../kit/time";
import type { Attempt, Execution } from "../../lib/schema";
import { duration, ms, useNow } from "../../lib/time";
import { isFinal, type Phase, phasesOf } from "./model";

/** What it waited for and how long each attempt ran, to scale. */
export function Phases({ execution, attempts }: { execution: Execution; attempts: Attempt[] }) {
  const current = useNow(1);
  const until = execution.finished_at
    ? ms(execution.finished_at)
    : isFinal(execution.status)
      ? ms(execution.created_at)
      : current;
  const phases = phasesOf(execution, attempts, until);
  const total = phases.reduce((sum, phase) => sum + phase.length, 0);
  if (total <= 0) return null;
  const words = phases.map((phase) => `${phase.label} ${duration(phase.length)}`).join(", ");
  return (
    <figure className="phases" aria-label={words}>
      {phases.map((phase, index) => (
        <PhaseBar
          key={index}
          phase={phase}
          total={total}
          running={index === phases.length - 1 && !isFinal(execution.status)}
        />
      ))}
    </figure>
  );
}

function PhaseBar({ phase, total, running }: { phase: Phase; total: number; running: boolean }) {
  return (
    <div
      className={`phase phase-${phase.kind}`}
      style={{ flexGrow: Math.max(phase.length / total, 0.02) * 100 }}
      title={`${phase.label} ${duration(phase.length)}`}
    >
      <span className="cut meta">
        {phase.label} <DurationText of={phase.length} />
        {running && "…"}
      </span>
      <span className={`phase-bar ${phase.kind === "ran" ? `fill-${phase.tone}` : "hatch"}`} />
    </div>
  );
}
