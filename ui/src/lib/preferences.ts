import { remember, remembered } from "./storage";
import { store } from "./store";

export interface Preferences {
  theme: "system" | "light" | "dark";
  density: "comfortable" | "normal" | "compact";
  /** `mine`, `utc`, or an IANA zone. */
  zone: string;
  clock: "24" | "12";
  singleKeys: boolean;
}

const defaults: Preferences = { theme: "system", density: "normal", zone: "mine", clock: "24", singleKeys: true };

export const preferences = store<Preferences>({ ...defaults, ...remembered<Partial<Preferences>>("preferences", {}) });

export function prefer(change: Partial<Preferences>) {
  preferences.set((now) => ({ ...now, ...change }));
  remember("preferences", preferences.get());
}

/** Applies theme and density to the page, now and whenever they change. */
export function applyPreferences() {
  const apply = () => {
    const { theme, density } = preferences.get();
    const root = document.documentElement;
    if (theme === "system") root.removeAttribute("data-theme");
    else root.dataset.theme = theme;
    root.dataset.density = density;
  };
  apply();
  return preferences.subscribe(apply);
}
