import { Field } from "../../kit/form";
import { zones } from "../../lib/time";
import { InstantField, Radios, TextField } from "../definitions/form";
import type { Misfire, Unit } from "./model";
import type { Fields } from "./TimerForm";
import { GAP_WORDS, MISFIRE_WORDS, OVERLAP_WORDS } from "./words";

const options = <T extends string>(words: Record<T, { label: string; hint: string }>) =>
  (Object.entries(words) as [T, { label: string; hint: string }][]).map(([value, word]) => ({ value, ...word }));

export function Schedule(props: Fields) {
  const { draft } = props;
  if (draft.kind === "interval") return <Interval {...props} />;
  return draft.kind === "cron" ? <Cron {...props} /> : <Once {...props} />;
}

function Interval({ draft, set, at }: Fields) {
  const error = at[`config.${draft.unit}`] ?? at["config.seconds"];
  return (
    <>
      <Field label="Every" error={error}>
        {(props) => (
          <span className="row">
            <input
              {...props}
              className="input num"
              inputMode="numeric"
              style={{ width: "96px" }}
              value={draft.every}
              onChange={(event) => set({ every: event.target.value })}
            />
            <select
              className="input auto"
              aria-label="Unit"
              value={draft.unit}
              onChange={(event) => set({ unit: event.target.value as Unit })}
            >
              <option value="seconds">seconds</option>
              <option value="minutes">minutes</option>
              <option value="hours">hours</option>
            </select>
          </span>
        )}
      </Field>
      <InstantField
        label="Grid begins"
        value={draft.anchor === "epoch" ? "" : draft.anchor}
        onChange={(anchor) => set({ anchor })}
        error={at["config.anchor"]}
        hint="Leave empty for full hours, minutes and seconds."
      />
    </>
  );
}

const BOXES = ["minute", "hour", "day", "month", "weekday"] as const;

function Cron({ draft, set, at }: Fields) {
  const parts = draft.expression.trim().split(/\s+/);
  const boxes = parts.length === 5 && !draft.expression.startsWith("@");
  return (
    <>
      <TextField
        label="Expression"
        mono
        value={draft.expression}
        onChange={(expression) => set({ expression })}
        error={at["config.expression"]}
        hint="As in crontab: minute, hour, day, month, weekday. Six fields begin with the second."
      />
      {boxes && (
        <div className="cron">
          {BOXES.map((name, i) => (
            <label key={name}>
              <span className="meta">{name}</span>
              <input
                className="input mono"
                aria-label={name}
                spellCheck={false}
                value={parts[i] ?? ""}
                onPaste={(event) => {
                  const text = event.clipboardData.getData("text").trim();
                  if (text.split(/\s+/).length < 5) return;
                  event.preventDefault();
                  set({ expression: text });
                }}
                onChange={(event) => {
                  const value = event.target.value.replace(/\s/g, "");
                  if (value !== "") set({ expression: parts.map((part, k) => (k === i ? value : part)).join(" ") });
                }}
              />
            </label>
          ))}
        </div>
      )}
      <TextField
        label="Time zone"
        value={draft.timezone}
        onChange={(timezone) => set({ timezone })}
        error={at["config.timezone"]}
        list="zones"
        width="280px"
      />
      <datalist id="zones">
        {zones().map((zone) => (
          <option key={zone} value={zone} />
        ))}
      </datalist>
    </>
  );
}

function Once({ draft, set, at }: Fields) {
  return (
    <>
      <InstantField
        label="Fires at"
        value={draft.fire_at}
        onChange={(fire_at) => set({ fire_at })}
        error={at["config.fire_at"]}
      />
      <label className="row">
        <input
          type="checkbox"
          checked={draft.allow_past}
          onChange={(event) => set({ allow_past: event.target.checked })}
        />{" "}
        Accept a time in the past
      </label>
    </>
  );
}

export function ClockChanges({ draft, set, at }: Fields) {
  return (
    <section className="card pad col loose">
      <h2>Clock changes</h2>
      <div className="two">
        <Radios
          label="When the clocks skip the time"
          value={draft.dst_gap}
          options={options(GAP_WORDS)}
          onChange={(dst_gap) => set({ dst_gap })}
          error={at["config.dst_gap"]}
        />
        <Radios
          label="When the time occurs twice"
          value={draft.dst_overlap}
          options={options(OVERLAP_WORDS)}
          onChange={(dst_overlap) => set({ dst_overlap })}
          error={at["config.dst_overlap"]}
        />
      </div>
    </section>
  );
}

export function Late({ draft, set, at }: Fields) {
  return (
    <section className="card pad col loose">
      <h2>Missed occurrences</h2>
      <Radios<Misfire>
        label="When Attune was not running"
        value={draft.misfire}
        options={options(MISFIRE_WORDS)}
        onChange={(misfire) => set({ misfire })}
        error={at["config.misfire"]}
      />
      <div className="row wrap" style={{ alignItems: "flex-start", gap: 16 }}>
        <TextField
          label="On time up to (seconds late)"
          value={draft.grace_seconds}
          onChange={(grace_seconds) => set({ grace_seconds })}
          error={at["config.grace_seconds"]}
          placeholder="10"
          width="180px"
        />
        {draft.misfire === "catch_up" && (
          <>
            <TextField
              label="Catch-up window (seconds)"
              value={draft.catchup_window_seconds}
              onChange={(catchup_window_seconds) => set({ catchup_window_seconds })}
              error={at["config.catchup_window_seconds"]}
              placeholder="10 periods"
              width="180px"
            />
            <TextField
              label="Fire at most"
              value={draft.catchup_max}
              onChange={(catchup_max) => set({ catchup_max })}
              error={at["config.catchup_max"]}
              placeholder="100"
              width="120px"
            />
          </>
        )}
        <TextField
          label="Never older than (seconds)"
          value={draft.max_age_seconds}
          onChange={(max_age_seconds) => set({ max_age_seconds })}
          error={at["config.max_age_seconds"]}
          placeholder="604800"
          width="180px"
        />
      </div>
    </section>
  );
}
