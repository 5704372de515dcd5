const isMac = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.userAgent);

/** Keys as they are printed on the keyboard: `mod+k` is ⌘ K or Ctrl K. */
export function KeyHint({ keys }: { keys: string }) {
  const parts = keys.split(/[ +]/).map((key) => {
    if (key === "mod") return isMac ? "⌘" : "Ctrl";
    if (key === "shift") return isMac ? "⇧" : "Shift";
    if (key === "Enter") return "↵";
    return key.length === 1 ? key.toUpperCase() : key;
  });
  return (
    <span className="key" aria-hidden="true">
      {parts.map((part, index) => (
        <kbd key={index} className="kbd">
          {part}
        </kbd>
      ))}
    </span>
  );
}
