import { useEffect, useState } from "react";
import { useSession } from "../../lib/session";
import { draft, draftKey, saveDraft } from "../../lib/storage";

/** A draft that survives a reload and the end of the session. `keep` false: nothing is stored. */
export function useDraft<T>(
  what: string,
  initial: T,
): { value: T; set: (next: T | ((now: T) => T)) => void; changed: boolean; clear: () => void; restored: boolean } {
  const { user } = useSession();
  const key = draftKey(user.login, what);
  const [start] = useState(() => ({ stored: draft<T>(key), text: JSON.stringify(initial) }));
  const [value, set] = useState<T>(start.stored ?? initial);
  const changed = JSON.stringify(value) !== start.text;
  useEffect(() => {
    const timer = setTimeout(() => saveDraft(key, changed ? value : undefined), 300);
    return () => clearTimeout(timer);
  }, [key, value, changed]);
  const clear = () => saveDraft(key, undefined);
  return { value, set, changed, clear, restored: start.stored !== undefined };
}
