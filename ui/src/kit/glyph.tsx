import type { ReactNode } from "react";

export type Tone = "ok" | "run" | "bad" | "late" | "wait" | "lost" | "quiet";

export type GlyphName =
  | "done"
  | "running"
  | "canceling"
  | "open"
  | "waiting"
  | "failed"
  | "timed_out"
  | "lost"
  | "canceled"
  | "skipped"
  | "not_matched"
  | "off"
  | "attention"
  | "dot";

const octagon = "M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2L1.5 10.8V5.2Z";
const cut = { stroke: "var(--surface)", strokeWidth: 1.7, fill: "none", strokeLinecap: "round" as const };
const line = { stroke: "currentColor", strokeWidth: 1.5, fill: "none", strokeLinecap: "round" as const };

/** Every shape is recognizable without its colour. */
const shapes: Record<GlyphName, ReactNode> = {
  done: (
    <>
      <circle cx="8" cy="8" r="6.5" fill="currentColor" />
      <path d="m5.2 8.2 2 2 3.6-4" {...cut} strokeLinejoin="round" />
    </>
  ),
  running: (
    <g className="spin">
      <circle cx="8" cy="8" r="5.8" {...line} opacity="0.35" />
      <path d="M8 2.2a5.8 5.8 0 0 1 0 11.6Z" fill="currentColor" />
    </g>
  ),
  canceling: (
    <>
      <circle cx="8" cy="8" r="5.8" {...line} />
      <path d="M8 2.2a5.8 5.8 0 0 1 0 11.6Z" fill="currentColor" />
      <path d="m2.5 13.5 11-11" {...line} />
    </>
  ),
  open: <circle cx="8" cy="8" r="5.6" {...line} />,
  waiting: (
    <>
      <circle cx="8" cy="8" r="5.8" {...line} strokeDasharray="2.6 2.1" />
      <circle cx="6" cy="8" r="1" fill="currentColor" />
      <circle cx="10" cy="8" r="1" fill="currentColor" />
    </>
  ),
  failed: (
    <>
      <path d={octagon} fill="currentColor" />
      <path d="m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8" {...cut} />
    </>
  ),
  timed_out: (
    <>
      <path d={octagon} fill="currentColor" />
      <path d="M8 4.4V8l2.4 1.6" {...cut} strokeLinejoin="round" />
    </>
  ),
  lost: (
    <>
      <path d="M8 .9 15.1 8 8 15.1.9 8Z" fill="currentColor" />
      <path d="M6.3 6.5c.2-2.3 3.6-2 3.4.1-.1 1.1-1.6 1.2-1.7 2.2" {...cut} strokeWidth={1.4} />
      <circle cx="8" cy="11" r=".9" fill="var(--surface)" />
    </>
  ),
  canceled: (
    <>
      <circle cx="8" cy="8" r="5.8" {...line} />
      <path d="m4.2 11.8 7.6-7.6" {...line} />
    </>
  ),
  skipped: (
    <>
      <rect x="1.9" y="1.9" width="12.2" height="12.2" rx="3" {...line} />
      <path d="m5 5.4 2.6 2.6L5 10.6m3.6-5.2L11.2 8l-2.6 2.6" {...line} strokeLinejoin="round" />
    </>
  ),
  not_matched: (
    <>
      <rect x="1.9" y="1.9" width="12.2" height="12.2" {...line} />
      <path d="M5 6.5h6M5 9.5h6m-1.6-5-2.8 7" {...line} strokeWidth={1.3} />
    </>
  ),
  off: (
    <>
      <rect x="1.9" y="1.9" width="12.2" height="12.2" {...line} />
      <path d="M6.2 5.4v5.2m3.6-5.2v5.2" {...line} />
    </>
  ),
  attention: (
    <>
      <path d="M8 1.4 15.2 14H.8Z" fill="currentColor" />
      <path d="M8 6v3.4" {...cut} />
      <circle cx="8" cy="11.8" r=".95" fill="var(--surface)" />
    </>
  ),
  dot: <circle cx="8" cy="8" r="3" fill="currentColor" />,
};

interface GlyphProps {
  name: GlyphName;
  tone: Tone;
  size?: number;
  /** Only when no word stands beside it. */
  label?: string;
}

export function Glyph({ name, tone, size = 16, label }: GlyphProps) {
  const shared = { className: `glyph tone-${tone}`, width: size, height: size, viewBox: "0 0 16 16" };
  if (label === undefined) {
    return (
      <svg {...shared} aria-hidden="true">
        {shapes[name]}
      </svg>
    );
  }
  return (
    <svg {...shared} role="img" aria-label={label}>
      {shapes[name]}
    </svg>
  );
}

export interface Mark {
  glyph: GlyphName;
  tone: Tone;
  word: string;
}

/** Glyph and word: how a state is shown everywhere. */
export function StateBadge({ mark }: { mark: Mark }) {
  return (
    <span className={`state tone-${mark.tone}`}>
      <Glyph name={mark.glyph} tone={mark.tone} />
      {mark.word}
    </span>
  );
}
