import type { ReactNode } from "react";
import { Banner } from "../../kit/states";
import type { Role } from "../../lib/schema";
import { useMay } from "../../lib/session";

/** Shows the form disabled, with the reason, to a user whose role does not permit it. */
export function NeedsEditor({ what, role = "editor", children }: { what: string; role?: Role; children: ReactNode }) {
  const { why } = useMay(role);
  if (why == null) return children;
  return (
    <>
      <Banner tone="quiet" glyph="off">
        {what}: {why}
      </Banner>
      <fieldset disabled className="bare">
        {children}
      </fieldset>
    </>
  );
}
