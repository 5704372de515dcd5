import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { Dialog as Radix } from "radix-ui";
import { useEffect, useState } from "react";
import { type Found, search } from "../features/go/api";
import { togglePause } from "../lib/live";
import { prefer } from "../lib/preferences";
import { atLeast, signOut, useSession } from "../lib/session";
import { remember, remembered } from "../lib/storage";
import { isId } from "../lib/uuid";
import { more, rail } from "./nav";

/** Pages, refs, pasted ids and a few commands, from anywhere. */
export function Palette({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="veil" />
        <Radix.Content className="dialog palette" aria-describedby={undefined}>
          <Radix.Title className="hidden-text">Go to</Radix.Title>
          <PaletteBody onClose={onClose} />
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

interface Place {
  to: string;
  label: string;
}

function PaletteBody({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const found = useSearch(text.trim());
  const navigate = useNavigate();
  const { user } = useSession();
  const recent = remembered<Place[]>("recent", []);

  const go = (place: Place) => {
    onClose();
    remember("recent", [place, ...recent.filter(({ to }) => to !== place.to)].slice(0, 10));
    void navigate({ to: place.to });
  };
  const act = (run: () => void) => () => {
    onClose();
    run();
  };
  const places = [...rail.flat(), ...more].filter(({ needs }) => !needs || atLeast(user.role, needs));

  return (
    <Command label="Go to a page, an object or an id" loop>
      <Command.Input
        className="palette-input"
        placeholder="A page, a ref such as core.echo, or an id"
        value={text}
        onValueChange={setText}
      />
      <Command.List className="palette-list">
        <Command.Empty className="empty">Nothing has this name.</Command.Empty>
        {isId(text) && (
          <Command.Item
            className="menu-item"
            value={text}
            onSelect={() => go({ to: `/go/${text.trim().toLowerCase()}`, label: `…${text.trim().slice(-8)}` })}
          >
            Open the trace of {text.trim()}
          </Command.Item>
        )}
        {!text && recent.length > 0 && (
          <Command.Group heading="Recent">
            {recent.map((place) => (
              <Command.Item
                key={place.to}
                value={`recent ${place.to}`}
                className="menu-item"
                onSelect={() => go(place)}
              >
                {place.label}
              </Command.Item>
            ))}
          </Command.Group>
        )}
        {found.length > 0 && (
          <Command.Group heading="Found">
            {found.map((each) => (
              <Command.Item
                key={each.to}
                value={`${each.noun} ${each.ref} ${text}`}
                className="menu-item"
                onSelect={() => go({ to: each.to, label: each.ref })}
              >
                <span className="mono">{each.ref}</span>
                <span className="cut soft">{each.label !== each.ref && each.label}</span>
                <span className="meta">{each.noun}</span>
              </Command.Item>
            ))}
          </Command.Group>
        )}
        <Command.Group heading="Pages">
          {places.map((place) => (
            <Command.Item key={place.to} value={place.label} className="menu-item" onSelect={() => go(place)}>
              <place.icon size={15} aria-hidden />
              {place.label}
            </Command.Item>
          ))}
        </Command.Group>
        <Command.Group heading="Commands">
          <Command.Item className="menu-item" onSelect={act(() => prefer({ theme: "light" }))}>
            Light theme
          </Command.Item>
          <Command.Item className="menu-item" onSelect={act(() => prefer({ theme: "dark" }))}>
            Dark theme
          </Command.Item>
          <Command.Item className="menu-item" onSelect={act(() => prefer({ zone: "utc" }))}>
            Show all times in UTC
          </Command.Item>
          <Command.Item className="menu-item" onSelect={act(() => prefer({ zone: "mine" }))}>
            Show all times in my zone
          </Command.Item>
          <Command.Item className="menu-item" onSelect={act(togglePause)}>
            Pause or resume live updates
          </Command.Item>
          <Command.Item className="menu-item" onSelect={act(() => void signOut())}>
            Sign out
          </Command.Item>
        </Command.Group>
      </Command.List>
    </Command>
  );
}

function useSearch(text: string): Found[] {
  const [found, setFound] = useState<Found[]>([]);
  useEffect(() => {
    if (text.length < 2 || isId(text)) {
      setFound([]);
      return;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      search(text, abort.signal).then(setFound, () => undefined);
    }, 120);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text]);
  return found;
}
