import { Ref } from "../../kit/ref";
import { grouped } from "../../lib/numbers";
import { duration, ms } from "../../lib/time";
import type { Dense } from "./model";

/** Timers that fire too often to show each occurrence. */
export function DenseTimers({ dense, truncated }: { dense: readonly Dense[]; truncated: readonly string[] }) {
  if (dense.length === 0 && truncated.length === 0) return null;
  return (
    <section className="card">
      <header>
        <h2>Too frequent to show each</h2>
      </header>
      <ul className="lines">
        {dense.map((timer) => (
          <li key={timer.trigger_ref} className="row wrap">
            <Ref name={timer.trigger_ref} to={`/timers/${timer.trigger_ref}`} />
            {timer.first !== null && timer.second !== null && (
              <span className="soft">every {duration(ms(timer.second) - ms(timer.first))}</span>
            )}
            {timer.count > 0 && <span className="soft num">{grouped(timer.count)} times</span>}
            {timer.outage !== null && (
              <span className="tone-late">
                {grouped(timer.outage.late)} would fire late, {grouped(timer.outage.missed)} would be missed
              </span>
            )}
          </li>
        ))}
        {truncated.length > 0 && (
          <li className="tone-late">
            Not shown, because there are too many: {truncated.join(", ")}. Filter by pack to see them.
          </li>
        )}
      </ul>
    </section>
  );
}
