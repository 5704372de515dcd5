import { pause } from "../http/client";
import { publish, publishGap } from "./bus";
import type { Frame } from "./frame";
import { type LiveState, live, setLive } from "./status";
import { type Ended, Stream } from "./stream";

type Message = { frame: Frame } | { gap: true } | { state: LiveState } | { ask: true } | { unauthorized: true };

const waits = [500, 1_000, 2_000, 4_000, 8_000];
/** A tab hidden for longer than this lets go of the stream. */
const hiddenLimit = 300_000;

/**
 * Keeps one stream per browser: the tab that holds the lock reads it and forwards its messages to the other tabs.
 * Returns a function that ends it.
 */
export function startLive(onUnauthorized: () => void): () => void {
  const stop = new AbortController();
  const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("attune-live") : undefined;
  let leading = false;
  const tell = (message: Message) => channel?.postMessage(message);

  const receive = (message: Message) => {
    if ("frame" in message) publish(message.frame);
    else if ("gap" in message) publishGap();
    else if ("unauthorized" in message) onUnauthorized();
    else if ("state" in message && live.get().state !== "paused") setLive(message.state);
    else if ("ask" in message && leading) tell({ state: live.get().state });
  };
  if (channel) channel.onmessage = ({ data }: MessageEvent<Message>) => receive(data);

  const state = (next: LiveState) => {
    if (live.get().state !== "paused") setLive(next);
    tell({ state: next });
  };

  const lead = async () => {
    leading = true;
    const stream = new Stream();
    for (let failures = 0; !stop.signal.aborted; ) {
      const ended = await stream.run(
        {
          onOpen: () => {
            if (failures > 0) {
              publishGap();
              tell({ gap: true });
            }
            failures = 0;
            state("live");
          },
          onFrame: (frame) => {
            publish(frame);
            tell({ frame });
          },
          onGap: () => {
            publishGap();
            tell({ gap: true });
          },
        },
        stop.signal,
      );
      if (stop.signal.aborted) return;
      failures++;
      state(after(ended));
      if (ended === "unauthorized") {
        tell({ unauthorized: true });
        onUnauthorized();
      }
      const base = ended === "limited" || ended === "refused" ? 15_000 : (waits[Math.min(failures - 1, 4)] ?? 8_000);
      await pause(base * (0.8 + Math.random() * 0.4));
    }
  };

  setLive("connecting");
  tell({ ask: true });
  if (navigator.locks) {
    void navigator.locks.request("attune-live", { signal: stop.signal }, lead).catch(() => undefined);
  } else {
    void lead();
  }

  const visibility = watchVisibility();
  return () => {
    stop.abort();
    channel?.close();
    visibility();
    setLive("off");
  };
}

function after(ended: Ended): LiveState {
  return ended === "limited" || ended === "refused" ? "polling" : "reconnecting";
}

/** A tab that was hidden for long reads once what is on screen when it returns. */
function watchVisibility(): () => void {
  let hiddenAt: number | undefined;
  const changed = () => {
    if (document.visibilityState === "hidden") hiddenAt = Date.now();
    else {
      if (hiddenAt !== undefined && Date.now() - hiddenAt > hiddenLimit) publishGap();
      hiddenAt = undefined;
    }
  };
  document.addEventListener("visibilitychange", changed);
  return () => document.removeEventListener("visibilitychange", changed);
}

export function togglePause() {
  if (live.get().state === "paused") {
    setLive("live");
    publishGap();
  } else setLive("paused");
}
