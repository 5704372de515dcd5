import { type ReactNode, useEffect } from "react";

interface PageProps {
  /** State first, so that it is visible in the tab bar: `✕ failed · acme.big`. */
  title: string;
  /** The visible heading; `title` without it. */
  heading?: ReactNode;
  /** Beside the heading. */
  aside?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

export function Page({ title, heading, aside, actions, children }: PageProps) {
  useEffect(() => {
    document.title = title ? `${title} · Attune` : "Attune";
  }, [title]);
  return (
    <div className="page-body">
      <div className="page-head">
        <h1>{heading ?? title}</h1>
        {aside}
        {actions && <div className="actions">{actions}</div>}
      </div>
      {children}
    </div>
  );
}
