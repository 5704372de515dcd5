import { store } from "../store";

export type LiveState = "off" | "connecting" | "live" | "catching_up" | "reconnecting" | "polling" | "paused";

export interface Live {
  state: LiveState;
  /** Since when it is not live, in milliseconds of the browser's clock. */
  since: number;
}

export const live = store<Live>({ state: "off", since: Date.now() });

export function setLive(state: LiveState) {
  live.set((now) => (now.state === state ? now : { state, since: Date.now() }));
}
