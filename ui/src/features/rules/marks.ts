import type { Mark } from "../../kit/glyph";
import { VERDICT_WORDS, type VerdictMark } from "./words";

const LOOK: Record<VerdictMark, Pick<Mark, "glyph" | "tone">> = {
  matched: { glyph: "done", tone: "ok" },
  not_matched: { glyph: "not_matched", tone: "quiet" },
  undecidable: { glyph: "lost", tone: "lost" },
  throttled: { glyph: "skipped", tone: "late" },
  skipped: { glyph: "skipped", tone: "late" },
  off: { glyph: "off", tone: "quiet" },
  later: { glyph: "open", tone: "quiet" },
};

export const verdictMark = (mark: VerdictMark): Mark => ({ ...LOOK[mark], word: VERDICT_WORDS[mark] });
