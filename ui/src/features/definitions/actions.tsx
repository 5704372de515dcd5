import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { ConfirmDanger } from "../../kit/dialog";
import { ProblemView } from "../../kit/states";
import { type Noun, useRemove } from "./api";

interface DeleteProps {
  noun: Noun;
  refName: string;
  open: boolean;
  onClose: () => void;
  /** What is deleted with it and what is kept. */
  children: ReactNode;
  /** Where to go afterwards. */
  then: string;
  query?: string;
  type?: string | undefined;
}

/** Asks before a definition is deleted, and shows what the server objects to. */
export function DeleteDialog({ noun, refName, open, onClose, children, then, query, type }: DeleteProps) {
  const navigate = useNavigate();
  const removal = useRemove(noun, query);
  const onConfirm = () =>
    removal.mutate(refName, {
      onSuccess: () => {
        onClose();
        void navigate({ to: then });
      },
    });
  return (
    <ConfirmDanger
      open={open}
      onClose={onClose}
      title={`Delete ${refName}?`}
      verb="Delete"
      pending={removal.isPending}
      onConfirm={onConfirm}
      type={type}
    >
      <div className="col">
        {children}
        {removal.error && <ProblemView error={removal.error} />}
      </div>
    </ConfirmDanger>
  );
}

/** Open and closed, for a dialog. */
export function useOpen(): { open: boolean; show: () => void; hide: () => void } {
  const [open, setOpen] = useState(false);
  return { open, show: () => setOpen(true), hide: () => setOpen(false) };
}
