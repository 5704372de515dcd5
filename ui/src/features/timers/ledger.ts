/** The occurrences of one timer on a strip: what the server stored and what it plans. Pure; nothing is computed here that
 * the server did not say. */
export type TickStatus = "fired" | "late" | "missed" | "due" | "paused";

export interface Tick {
  at: number;
  status: TickStatus;
  /** How many occurrences this tick stands for. */
  count: number;
  until?: number;
  eventId?: string;
  lateMs?: number;
  reason?: string;
  note?: "dst_gap" | "dst_overlap";
  local?: string;
}

export interface FiredEvent {
  id: string;
  scheduledAt: number | null;
  lateMs: number | null;
}

export interface Gap {
  from_at: string;
  to_at: string;
  missed: number;
  reason: string;
}

export interface Due {
  at: number;
  local: string;
  note: "dst_gap" | "dst_overlap" | null;
}

export function ticksOf(
  events: readonly FiredEvent[],
  gaps: readonly { from: number; to: number; missed: number; reason: string }[],
  due: readonly Due[],
  lateAfterMs: number,
): Tick[] {
  const ticks: Tick[] = [];
  const fired = new Set<number>();
  for (const event of events) {
    if (event.scheduledAt == null || fired.has(event.scheduledAt)) continue;
    fired.add(event.scheduledAt);
    const late = event.lateMs != null && event.lateMs > lateAfterMs;
    ticks.push({
      at: event.scheduledAt,
      status: late ? "late" : "fired",
      count: 1,
      eventId: event.id,
      ...(event.lateMs == null ? {} : { lateMs: event.lateMs }),
    });
  }
  for (const gap of gaps) {
    ticks.push({ at: gap.from, until: gap.to, status: "missed", count: gap.missed, reason: gap.reason });
  }
  // What is due comes after everything that fired. The plan begins at the last full minute, which may be before the start of
  // the timer.
  const latest = Math.max(...fired);
  for (const next of due) {
    if (next.at <= latest) continue;
    ticks.push({
      at: next.at,
      status: "due",
      count: 1,
      local: next.local,
      ...(next.note == null ? {} : { note: next.note }),
    });
  }
  return ticks.sort((a, b) => a.at - b.at || a.status.localeCompare(b.status));
}

export type Totals = Record<TickStatus, number>;

export function totals(ticks: readonly Tick[]): Totals {
  const sum: Totals = { fired: 0, late: 0, missed: 0, due: 0, paused: 0 };
  for (const tick of ticks) sum[tick.status] += tick.count;
  return sum;
}

export interface Mark {
  x: number;
  width: number;
  status: TickStatus;
  first: number;
  last: number;
  note: boolean;
}

const WORST: readonly TickStatus[] = ["missed", "late", "paused", "fired", "due"];

/** Places ticks on `width` pixels. Ticks closer than `gap` pixels share a mark, which shows the worst of them. */
export function layout(ticks: readonly Tick[], from: number, to: number, width: number, gap = 5): Mark[] {
  const marks: Mark[] = [];
  const span = Math.max(1, to - from);
  ticks.forEach((tick, index) => {
    const x = ((tick.at - from) / span) * width;
    if (x < -gap || x > width + gap) return;
    const end = tick.until == null ? x : ((tick.until - from) / span) * width;
    const size = Math.max(3, Math.min(width, end) - Math.max(0, x));
    const last = marks.at(-1);
    const note = tick.note != null;
    if (last != null && x - (last.x + last.width - 3) < gap && (last.status === "due") === (tick.status === "due")) {
      last.last = index;
      last.width = Math.max(last.width, x + size - last.x);
      last.note ||= note;
      if (WORST.indexOf(tick.status) < WORST.indexOf(last.status)) last.status = tick.status;
    } else {
      marks.push({ x: Math.max(0, x), width: size, status: tick.status, first: index, last: index, note });
    }
  });
  return marks;
}
