import { Time } from "../../kit/time";
import type { TimerConfig } from "./model";
import { scheduleWords, zoneShort } from "./words";

/** The schedule in words, with the expression as its tooltip. */
export function Schedule({ config, long }: { config: TimerConfig; long?: boolean }) {
  const words = scheduleWords(config);
  if (config.type === "one_shot") {
    return (
      <span>
        once, <Time at={config.fire_at} />
      </span>
    );
  }
  return (
    <span title={words.raw ?? undefined}>
      {words.raw == null && config.type === "cron" ? <code>{words.text}</code> : words.text}
      {words.zone != null && <span className="soft">, {long ? words.zone : zoneShort(words.zone)}</span>}
      {long && words.raw != null && <code className="soft"> ({words.raw})</code>}
    </span>
  );
}
