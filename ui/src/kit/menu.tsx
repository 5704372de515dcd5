import { DropdownMenu } from "radix-ui";
import type { ReactElement, ReactNode } from "react";

export interface MenuEntry {
  label: ReactNode;
  onSelect: () => void;
  /** Why it is not available. */
  why?: string | undefined;
  hint?: string | undefined;
  icon?: ReactNode;
}

interface MenuProps {
  label: string;
  entries: (MenuEntry | "line")[];
  children: ReactElement;
  align?: "start" | "end";
}

export function Menu({ label, entries, children, align = "end" }: MenuProps) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{children}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu" align={align} sideOffset={4} aria-label={label} collisionPadding={8}>
          {entries.map((entry, index) =>
            entry === "line" ? (
              <hr key={index} />
            ) : (
              <DropdownMenu.Item
                key={index}
                className="menu-item"
                disabled={entry.why !== undefined}
                onSelect={entry.onSelect}
              >
                {entry.icon}
                <span>{entry.label}</span>
                {(entry.why ?? entry.hint) && <span className="meta">{entry.why ?? entry.hint}</span>}
              </DropdownMenu.Item>
            ),
          )}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
