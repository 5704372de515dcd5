/** What this browser remembers. Never tokens, never content of objects. */
export function remembered<T>(key: string, fallback: T): T {
  try {
    const text = localStorage.getItem(`attune.${key}`);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

export function remember(key: string, value: unknown) {
  try {
    localStorage.setItem(`attune.${key}`, JSON.stringify(value));
  } catch {
    // Storage is full or forbidden: the choice lasts until the page is closed.
  }
}

/** A draft of a form: survives a reload and the end of the session, but not another user. */
export const draftKey = (user: string, what: string) => `attune.draft.${user}.${what}`;

export function draft<T>(key: string): T | undefined {
  try {
    const text = sessionStorage.getItem(key);
    return text === null ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}

export function saveDraft(key: string, value: unknown) {
  try {
    if (value === undefined) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // See `remember`.
  }
}

/** Removes the drafts of all other users. */
export function keepDraftsOf(user: string) {
  try {
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith("attune.draft.") && !key.startsWith(`attune.draft.${user}.`)) sessionStorage.removeItem(key);
    }
  } catch {
    // Nothing was stored.
  }
}
