import { useState } from "react";
import { Button } from "../kit/button";
import { Dialog } from "../kit/dialog";
import { ZoneField } from "../kit/zone";
import { type LiveState, live, togglePause } from "../lib/live";
import { prefer, preferences } from "../lib/preferences";
import { useStore } from "../lib/store";
import { clockTime, duration, elapsed, serverOffset, useNow, useZone, zoneName } from "../lib/time";

const words: Record<LiveState, string> = {
  off: "not connected",
  connecting: "connecting",
  live: "live",
  catching_up: "catching up",
  reconnecting: "reconnecting",
  polling: "polling",
  paused: "paused",
};

/** Whether the page follows what happens. Click or `p`: pause, resume. */
export function LiveButton() {
  const { state, since } = useStore(live);
  useNow(1);
  const waited =
    state === "reconnecting" ? ` for ${duration(Math.floor(elapsed(since) / 1000) * 1000).replace(".0", "")}` : "";
  return (
    <Button look="plain" onClick={togglePause} title="Live updates: pause or resume (p)" className="live">
      <span className="live-dot" data-state={state} />
      <span className="wide-only">
        {words[state]}
        {waited}
      </span>
      <span className="hidden-text phone-only">{words[state]}</span>
    </Button>
  );
}

/** The server's time in the zone that the whole app shows. */
export function ClockButton() {
  const [open, setOpen] = useState(false);
  const zone = useZone();
  const now = useNow(1);
  const behind = useStore(serverOffset);
  const difference =
    Math.abs(behind) > 5_000 ? `your clock is ${duration(Math.abs(behind))} ${behind > 0 ? "behind" : "ahead"}` : "";
  return (
    <>
      <Button look="plain" className="clock" title={`The server's time. ${difference}`} onClick={() => setOpen(true)}>
        <span>{clockTime(now, zone)}</span>
        <span className="soft wide-only">{zoneName(zone)}</span>
        {difference && <span className="tone-late wide-only">{difference}</span>}
      </Button>
      <ZoneDialog open={open} onClose={() => setOpen(false)} />
    </>
  );
}

function ZoneDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { zone } = useStore(preferences);
  return (
    <Dialog open={open} onClose={onClose} title="Time zone">
      <p className="soft">All times on all pages are shown in this zone. A timer also shows its own.</p>
      <ZoneField value={zone} onChange={(next) => prefer({ zone: next })} />
      <div className="dialog-foot">
        <Button look="primary" onClick={onClose}>
          Done
        </Button>
      </div>
    </Dialog>
  );
}
