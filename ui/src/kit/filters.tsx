import { X } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useKeys } from "../lib/keys";
import { useUrl } from "./url";

/** A filter that is a text; takes effect 250 ms after the last key. */
export function TextFilter({ param, label, width = "180px" }: { param: string; label: string; width?: string }) {
  const [url, setUrl] = useUrl();
  const applied = url[param] ?? "";
  const [text, setText] = useState(applied);
  const last = useRef(applied);
  useEffect(() => {
    if (applied !== last.current) setText(applied);
    last.current = applied;
  }, [applied]);
  useEffect(() => {
    if (text === last.current) return;
    const timer = setTimeout(() => {
      last.current = text.trim();
      setUrl({ [param]: text.trim() || undefined });
    }, 250);
    return () => clearTimeout(timer);
  }, [text, param, setUrl]);
  return (
    <input
      className="input mono"
      data-filter
      style={{ width }}
      aria-label={label}
      placeholder={label}
      spellCheck={false}
      value={text}
      onChange={(event) => setText(event.target.value)}
    />
  );
}

interface SelectFilterProps {
  param: string;
  label: string;
  options: readonly { value: string; label: string }[];
  /** What no choice means. */
  any: string;
}

export function SelectFilter({ param, label, options, any }: SelectFilterProps) {
  const [url, setUrl] = useUrl();
  return (
    <select
      className="input auto"
      aria-label={label}
      value={url[param] ?? ""}
      onChange={(event) => setUrl({ [param]: event.target.value || undefined })}
    >
      <option value="">{any}</option>
      {options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.label}
        </option>
      ))}
    </select>
  );
}

export const sinceOptions = [
  { value: "-15m", label: "last 15 min" },
  { value: "-1h", label: "last hour" },
  { value: "-24h", label: "last 24 h" },
  { value: "-7d", label: "last 7 days" },
  { value: "-30d", label: "last 30 days" },
];

/** The row above a list. `/` moves to its first text field. */
export function FilterBar({ children, clear }: { children: ReactNode; clear: readonly string[] }) {
  const [url, setUrl] = useUrl();
  const bar = useRef<HTMLElement>(null);
  useKeys("Filters", [
    {
      keys: "/",
      text: "Go to the filter",
      run: () => bar.current?.querySelector<HTMLElement>("[data-filter]")?.focus(),
    },
  ]);
  const on = clear.filter((name) => url[name]);
  return (
    <search className="filters" ref={bar}>
      {children}
      {on.length > 0 && (
        <button
          type="button"
          className="btn plain small"
          onClick={() => setUrl(Object.fromEntries(on.map((name) => [name, undefined])))}
        >
          <X size={13} aria-hidden /> Clear
        </button>
      )}
    </search>
  );
}
