import { Link } from "@tanstack/react-router";
import type { Role } from "../../lib/schema";
import { atLeast, useSession } from "../../lib/session";
import "./settings.css";

const places: { to: string; label: string; needs?: Role }[] = [
  { to: "/settings/me", label: "Me" },
  { to: "/access/users", label: "Users", needs: "admin" },
  { to: "/access/tokens", label: "Tokens" },
  { to: "/audit", label: "Audit", needs: "admin" },
  { to: "/settings/retention", label: "Retention" },
  { to: "/settings/system", label: "System" },
  { to: "/settings/about", label: "About" },
];

/** The pages under Settings; each shows this line below its heading. */
export function SettingsTabs({ here }: { here: string }) {
  const { user } = useSession();
  return (
    <nav className="tabs" aria-label="Settings">
      {places
        .filter(({ needs }) => !needs || atLeast(user.role, needs))
        .map(({ to, label }) => (
          <Link key={to} to={to} className="tab" aria-current={to === here ? "page" : undefined}>
            {label}
          </Link>
        ))}
    </nav>
  );
}
