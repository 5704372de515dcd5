import { useNavigate } from "@tanstack/react-router";
import { Ellipsis } from "lucide-react";
import { Menu } from "../kit/menu";
import { atLeast, useSession } from "../lib/session";
import { more, rail } from "./nav";

/** Everything that has no place in the bar of a phone. */
export function PhoneMore() {
  const navigate = useNavigate();
  const { user } = useSession();
  const entries = [...rail.flat().filter((entry) => !entry.phone), ...more]
    .filter((entry) => !entry.needs || atLeast(user.role, entry.needs))
    .map(({ to, label, icon: Icon }) => ({
      label,
      icon: <Icon size={16} aria-hidden />,
      onSelect: () => void navigate({ to }),
    }));
  return (
    <Menu label="More pages" entries={entries}>
      <button type="button" className="btn plain phone-only">
        <Ellipsis size={16} aria-hidden />
        More
      </button>
    </Menu>
  );
}
