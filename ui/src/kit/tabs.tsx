import type { KeyboardEvent, ReactNode } from "react";
import { useUrl } from "./url";

export interface TabSpec {
  id: string;
  label: ReactNode;
  content: () => ReactNode;
}

/** Tabs whose choice is in the address, as `?tab=`. */
export function Tabs({
  tabs,
  name = "Parts of this page",
  param = "tab",
}: {
  tabs: TabSpec[];
  name?: string;
  param?: string;
}) {
  const [url, setUrl] = useUrl();
  const chosen = tabs.find((tab) => tab.id === url[param]) ?? tabs[0];
  if (!chosen) return null;
  const choose = (id: string) => setUrl({ [param]: id === tabs[0]?.id ? undefined : id });
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const next = tabs[(tabs.indexOf(chosen) + step + tabs.length) % tabs.length];
    if (!next) return;
    event.preventDefault();
    choose(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return (
    <>
      <div className="tabs" role="tablist" aria-label={name} onKeyDown={onKeyDown}>
        {tabs.map((tab) => (
          <button
            key={tab.id}
            id={`tab-${tab.id}`}
            type="button"
            role="tab"
            className="tab"
            aria-selected={tab === chosen}
            aria-controls="tab-panel"
            tabIndex={tab === chosen ? 0 : -1}
            onClick={() => choose(tab.id)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="tab-panel" aria-labelledby={`tab-${chosen.id}`}>
        {chosen.content()}
      </div>
    </>
  );
}
