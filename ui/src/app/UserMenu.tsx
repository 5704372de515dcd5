import { useNavigate } from "@tanstack/react-router";
import { UserRound } from "lucide-react";
import { Button } from "../kit/button";
import { Menu, type MenuEntry } from "../kit/menu";
import { toast } from "../kit/toast";
import { asProblem } from "../lib/http/problem";
import { atLeast, signOut, useSession } from "../lib/session";
import { more } from "./nav";

export function UserMenu() {
  const { user } = useSession();
  const navigate = useNavigate();
  const places: MenuEntry[] = more
    .filter(({ to, needs }) => /^\/(access|audit|settings)/.test(to) && (!needs || atLeast(user.role, needs)))
    .map(({ to, label }) => ({ label, onSelect: () => void navigate({ to }) }));
  return (
    <Menu
      label="Your account"
      entries={[
        { label: "My settings", hint: user.role, onSelect: () => void navigate({ to: "/settings/me" }) },
        ...places,
        "line",
        {
          label: "Sign out",
          onSelect: () => void signOut().catch((error) => toast(asProblem(error).message, { tone: "bad" })),
        },
      ]}
    >
      <Button look="plain" aria-label={`Account of ${user.login}`}>
        <UserRound size={16} aria-hidden />
        <span className="wide-only">{user.login}</span>
      </Button>
    </Menu>
  );
}
