import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { CircleHelp, Moon, Search, Sun } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { useAttentionCount } from "../features/attention/api";
import { IconButton } from "../kit/button";
import { KeyHint } from "../kit/keyhint";
import { type Binding, startKeys, useKeys } from "../lib/keys";
import { togglePause } from "../lib/live";
import { prefer, preferences } from "../lib/preferences";
import { useStore } from "../lib/store";
import { Bands } from "./Bands";
import { ClockButton, LiveButton } from "./Clock";
import { KeysDialog } from "./KeysDialog";
import { rail } from "./nav";
import { Palette } from "./Palette";
import { PhoneMore } from "./PhoneMore";
import { UserMenu } from "./UserMenu";

export function Shell() {
  const [palette, setPalette] = useState(false);
  const [keys, setKeys] = useState(false);
  const main = useRef<HTMLElement>(null);
  const navigate = useNavigate();
  const path = useRouterState({ select: (state) => state.location.pathname });

  useEffect(startKeys, []);
  // A new page begins at its top for the keyboard, too.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the path is the reason.
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement?.closest(".rail")) main.current?.focus();
  }, [path]);

  useKeys("Everywhere", [
    { keys: "mod+k", text: "Search, go to, run", run: () => setPalette((open) => !open) },
    { keys: "?", text: "Show the keys", run: () => setKeys(true) },
    { keys: "p", text: "Pause or resume live updates", run: togglePause },
    { keys: "z", text: "Switch between your zone and UTC", run: switchZone },
    { keys: "u", text: "Back", run: () => window.history.back() },
    ...rail
      .flat()
      .flatMap(({ to, label, key }): Binding[] =>
        key ? [{ keys: `g ${key}`, text: `Go to ${label}`, run: () => void navigate({ to }) }] : [],
      ),
  ]);

  return (
    <div className="shell">
      <header className="topbar">
        <Link to="/" className="brand" aria-label="Attune: Now">
          <svg width="18" height="18" viewBox="0 0 16 16" aria-hidden="true">
            <path d="M8 1 15 8 8 15 1 8Zm0 3.6L4.6 8 8 11.4 11.4 8Z" fill="currentColor" fillRule="evenodd" />
          </svg>
          <span className="label">Attune</span>
        </Link>
        <button type="button" className="seek" onClick={() => setPalette(true)}>
          <Search size={14} aria-hidden />
          <span className="cut">Go to a page, run an action, find an id…</span>
          <KeyHint keys="mod+k" />
        </button>
        <div className="row push">
          <LiveButton />
          <ClockButton />
          <span className="wide-only row">
            <IconButton name="Keys" icon={<CircleHelp size={16} />} onClick={() => setKeys(true)} />
            <ThemeButton />
          </span>
          <UserMenu />
        </div>
      </header>
      <Rail path={path} />
      <main className="page" id="page" ref={main} tabIndex={-1}>
        <Bands />
        <Outlet />
      </main>
      <Palette open={palette} onClose={() => setPalette(false)} />
      <KeysDialog open={keys} onClose={() => setKeys(false)} />
    </div>
  );
}

function switchZone() {
  prefer({ zone: preferences.get().zone === "mine" ? "utc" : "mine" });
}

function ThemeButton() {
  const { theme } = useStore(preferences);
  const dark = theme === "dark" || (theme === "system" && window.matchMedia("(prefers-color-scheme: dark)").matches);
  return (
    <IconButton
      name={dark ? "Light theme" : "Dark theme"}
      icon={dark ? <Sun size={16} /> : <Moon size={16} />}
      onClick={() => prefer({ theme: dark ? "light" : "dark" })}
    />
  );
}

function Rail({ path }: { path: string }) {
  const attention = useAttentionCount();
  return (
    <nav className="rail" aria-label="Pages">
      {rail.map((group, index) => [
        index > 0 && <hr key={`line-${index}`} />,
        ...group.map(({ to, label, icon: Icon, key, phone }) => {
          const section = `/${to.split("/")[1]}`;
          const here = to === "/" ? path === "/" : path === section || path.startsWith(`${section}/`);
          const alert = to === "/attention" && attention > 0;
          return (
            <Link
              key={to}
              to={to}
              aria-current={here ? "page" : undefined}
              data-phone={phone ? "yes" : "no"}
              title={label}
              className={alert ? "alert" : undefined}
            >
              <Icon size={16} aria-hidden />
              <span className="label">{alert ? `${label} (${attention})` : label}</span>
              {key && <KeyHint keys={`g ${key}`} />}
            </Link>
          );
        }),
      ])}
      <PhoneMore />
    </nav>
  );
}
