import type { Mark } from "../../kit/glyph";
import { grouped } from "../../lib/numbers";
import type { Timer, TimerState } from "./model";
import { stateOf } from "./model";
import { STATE_WORDS } from "./words";

const LOOK: Record<TimerState, Pick<Mark, "glyph" | "tone">> = {
  ok: { glyph: "done", tone: "ok" },
  late: { glyph: "attention", tone: "late" },
  missed: { glyph: "failed", tone: "bad" },
  error: { glyph: "failed", tone: "bad" },
  disabled: { glyph: "off", tone: "quiet" },
  done: { glyph: "open", tone: "quiet" },
};

export function markOf(timer: Timer): Mark {
  const state = stateOf(timer);
  const count = state === "late" ? timer.late : state === "missed" ? timer.missed : 0;
  const word = state === "ok" && timer.fired === 0 ? "not fired yet" : STATE_WORDS[state];
  return { ...LOOK[state], word: count > 0 ? `${grouped(count)} ${word}` : word };
}
