import type { Role } from "../../lib/schema";

export const ROLES: readonly Role[] = ["viewer", "operator", "editor", "admin"];

/** What each role adds to the one before. */
export const ROLE_WORDS: Record<Role, string> = {
  viewer: "sees definitions, events, executions and their output",
  operator: "also runs actions, fires triggers, enables, disables, cancels and reruns",
  editor: "also creates, changes and deletes definitions, and reads webhook requests",
  admin: "also manages users and reads the audit log",
};

/** Roles that a user may give: their own and those below. */
export const upTo = (role: Role): Role[] => ROLES.slice(0, ROLES.indexOf(role) + 1);
