import { ClipboardCopy } from "lucide-react";
import { Button } from "./button";
import { Menu, type MenuEntry } from "./menu";
import { toast } from "./toast";

export function copyText(text: string, what: string) {
  const done = () => toast(`${what} was copied.`);
  const failed = () => toast(`${what} could not be copied: the browser does not allow it.`, { tone: "bad" });
  if (navigator.clipboard) void navigator.clipboard.writeText(text).then(done, failed);
  else failed();
}

export interface CopyForm {
  label: string;
  text: string | (() => string);
}

/** Copy as link, command, curl, YAML, JSON …: each page teaches the command. */
export function CopyAs({ forms, small }: { forms: CopyForm[]; small?: boolean }) {
  const entries: MenuEntry[] = forms.map(({ label, text }) => ({
    label,
    onSelect: () => copyText(typeof text === "string" ? text : text(), label),
  }));
  return (
    <Menu label="Copy as" entries={entries}>
      <Button small={small}>
        <ClipboardCopy size={14} aria-hidden /> Copy
      </Button>
    </Menu>
  );
}

export const pageLink = (): string => window.location.href;
