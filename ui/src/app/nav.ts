import {
  Activity,
  Bell,
  CalendarDays,
  Clock,
  GitFork,
  type LucideIcon,
  Play,
  Radio,
  Server,
  Settings,
  Terminal,
  Webhook,
  Zap,
} from "lucide-react";
import type { Role } from "../lib/schema";

export interface NavEntry {
  to: string;
  label: string;
  icon: LucideIcon;
  /** The key after `g`. */
  key?: string;
  /** Shown in the bar of a phone. */
  phone?: boolean;
  needs?: Role;
}

/** The rail: groups are separated by a line. */
export const rail: NavEntry[][] = [
  [
    { to: "/", label: "Now", icon: Activity, key: "n", phone: true },
    { to: "/calendar", label: "Calendar", icon: CalendarDays, key: "c", phone: true },
  ],
  [
    { to: "/timers", label: "Timers", icon: Clock, key: "t" },
    { to: "/webhooks", label: "Webhooks", icon: Webhook, key: "w" },
    { to: "/triggers", label: "Triggers", icon: Zap },
    { to: "/rules", label: "Rules", icon: GitFork, key: "r" },
    { to: "/actions", label: "Actions", icon: Terminal, key: "a" },
  ],
  [
    { to: "/events", label: "Events", icon: Radio, key: "e" },
    { to: "/executions", label: "Executions", icon: Play, key: "x", phone: true },
  ],
  [
    { to: "/workers", label: "Workers", icon: Server, key: "k" },
    { to: "/attention", label: "Attention", icon: Bell, phone: true },
    { to: "/settings/me", label: "Settings", icon: Settings, key: "s" },
  ],
];

/** Pages that are only in the palette and in the menu of a phone. */
export const more: NavEntry[] = [
  { to: "/webhooks/inbox", label: "Webhook inbox", icon: Webhook, needs: "editor" },
  { to: "/timers/new", label: "New timer", icon: Clock, needs: "editor" },
  { to: "/rules/new", label: "New rule", icon: GitFork, needs: "editor" },
  { to: "/packs", label: "Packs", icon: Terminal },
  { to: "/welcome", label: "Welcome: the first automation", icon: Activity, needs: "editor" },
  { to: "/access/users", label: "Users", icon: Settings, needs: "admin" },
  { to: "/access/tokens", label: "API tokens", icon: Settings },
  { to: "/audit", label: "Audit", icon: Settings, needs: "admin" },
  { to: "/settings/system", label: "System", icon: Settings },
  { to: "/settings/retention", label: "Retention", icon: Settings },
  { to: "/settings/about", label: "About", icon: Settings },
];
