import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import { type ReactNode, useState } from "react";
import { Button, IconButton } from "./button";
import { Field } from "./form";

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  /** Cannot be closed by Escape or a click outside. */
  sticky?: boolean;
}

export function Dialog({ open, onClose, title, children, sticky }: DialogProps) {
  const hold = (event: globalThis.Event) => {
    if (sticky) event.preventDefault();
  };
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="veil" />
        <Radix.Content
          className="dialog col loose"
          aria-describedby={undefined}
          onEscapeKeyDown={hold}
          onInteractOutside={hold}
        >
          <Radix.Title asChild>
            <h2>{title}</h2>
          </Radix.Title>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

interface ConfirmProps {
  open: boolean;
  onClose: () => void;
  title: string;
  /** The consequence, in numbers. */
  children: ReactNode;
  verb: string;
  onConfirm: () => void;
  pending?: boolean;
  /** Must be typed first, when much is affected. */
  type?: string | undefined;
}

/** Only for what cannot be taken back. Everything else happens at once and offers Undo. */
export function ConfirmDanger({ open, onClose, title, children, verb, onConfirm, pending, type }: ConfirmProps) {
  const [typed, setTyped] = useState("");
  return (
    <Dialog open={open} onClose={onClose} title={title}>
      <div>{children}</div>
      {type !== undefined && (
        <Field label={`Type ${type} to confirm`}>
          {(props) => (
            <input {...props} className="input mono" value={typed} onChange={(e) => setTyped(e.target.value)} />
          )}
        </Field>
      )}
      <div className="dialog-foot">
        <Button onClick={onClose}>Keep</Button>
        <Button look="danger" pending={pending} disabled={type !== undefined && typed !== type} onClick={onConfirm}>
          {verb}
        </Button>
      </div>
    </Dialog>
  );
}

interface DrawerProps {
  title: ReactNode;
  onClose: () => void;
  children: ReactNode;
}

/** A layer at the right that leaves the page usable. */
export function Drawer({ title, onClose, children }: DrawerProps) {
  return (
    <aside className="drawer col loose" onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <div className="row">
        <h2 className="grow cut">{title}</h2>
        <IconButton name="Close" icon={<X size={16} />} onClick={onClose} />
      </div>
      {children}
    </aside>
  );
}
