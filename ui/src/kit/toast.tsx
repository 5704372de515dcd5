import { X } from "lucide-react";
import { useEffect } from "react";
import { store, useStore } from "../lib/store";
import { Button, IconButton } from "./button";
import { Glyph } from "./glyph";

export interface Toast {
  id: number;
  text: string;
  tone: "ok" | "bad" | "quiet";
  /** Offers to take the change back, for 8 s. */
  undo?: (() => void) | undefined;
}

const toasts = store<Toast[]>([]);
let nextId = 1;

export function toast(text: string, options: { tone?: Toast["tone"]; undo?: (() => void) | undefined } = {}) {
  const added: Toast = { id: nextId++, text, tone: options.tone ?? "quiet", undo: options.undo };
  toasts.set((now) => [...now.slice(-2), added]);
}

const dismiss = (id: number) => toasts.set((now) => now.filter((each) => each.id !== id));

export function Toasts() {
  const shown = useStore(toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((each) => (
        <ToastView key={each.id} toast={each} />
      ))}
    </div>
  );
}

function ToastView({ toast: { id, text, tone, undo } }: { toast: Toast }) {
  useEffect(() => {
    const timer = setTimeout(() => dismiss(id), undo ? 8_000 : tone === "bad" ? 12_000 : 4_000);
    return () => clearTimeout(timer);
  }, [id, undo, tone]);
  return (
    <div className="toast">
      {tone === "ok" && <Glyph name="done" tone="ok" />}
      {tone === "bad" && <Glyph name="failed" tone="bad" />}
      <span className="grow">{text}</span>
      {undo && (
        <Button
          small
          onClick={() => {
            dismiss(id);
            undo();
          }}
        >
          Undo
        </Button>
      )}
      <IconButton small name="Dismiss" icon={<X size={14} />} onClick={() => dismiss(id)} />
    </div>
  );
}
