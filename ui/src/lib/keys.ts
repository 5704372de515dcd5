import { useEffect, useRef } from "react";
import { preferences } from "./preferences";
import { store } from "./store";

export interface Binding {
  /** `j`, `shift+x`, `mod+k`, `g n`. */
  keys: string;
  text: string;
  run: (event: KeyboardEvent) => void;
}

interface Group {
  name: string;
  bindings: Binding[];
}

/** All groups that are active now; later ones win. */
export const keyGroups = store<Group[]>([]);

const isField = (target: EventTarget | null) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName)) &&
  !(target instanceof HTMLInputElement && ["checkbox", "radio", "button"].includes(target.type));

let prefix = "";
let prefixAt = 0;

export function nameOf(event: KeyboardEvent): string {
  const mod = event.ctrlKey || event.metaKey ? "mod+" : "";
  const shift = event.shiftKey && (event.key.length > 1 || /[a-z]/i.test(event.key)) ? "shift+" : "";
  return mod + shift + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
}

function handle(event: KeyboardEvent) {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const name = nameOf(event);
  const withModifier = name.startsWith("mod+");
  if (!withModifier) {
    if (isField(event.target)) return;
    if (!preferences.get().singleKeys && name.length === 1) return;
    // An open layer keeps its own keys.
    if (document.querySelector('[role="dialog"], [role="menu"]')) return;
  }
  const sequence = prefix && Date.now() - prefixAt < 1_200 ? `${prefix} ${name}` : name;
  prefix = "";
  const bindings = [...keyGroups.get()].reverse().flatMap((group) => group.bindings);
  const found = bindings.find((binding) => binding.keys === sequence);
  if (found) {
    event.preventDefault();
    found.run(event);
  } else if (bindings.some((binding) => binding.keys.startsWith(`${name} `))) {
    prefix = name;
    prefixAt = Date.now();
  }
}

export function startKeys(): () => void {
  window.addEventListener("keydown", handle);
  return () => window.removeEventListener("keydown", handle);
}

/** Keys of a page or a part of it, while it is shown. */
export function useKeys(name: string, bindings: Binding[]) {
  const latest = useRef(bindings);
  latest.current = bindings;
  const signature = bindings.map((binding) => binding.keys).join("|");
  useEffect(() => {
    const group: Group = {
      name,
      bindings: signature
        .split("|")
        .filter(Boolean)
        .map((keys) => ({
          keys,
          text: latest.current.find((binding) => binding.keys === keys)?.text ?? "",
          run: (event) => latest.current.find((binding) => binding.keys === keys)?.run(event),
        })),
    };
    keyGroups.set((now) => [...now, group]);
    return () => keyGroups.set((now) => now.filter((each) => each !== group));
  }, [name, signature]);
}
