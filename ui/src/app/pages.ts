import type { ComponentType } from "react";

export interface PageSpec {
  /** As in the API's document: `{name}` is one part of the path. */
  path: string;
  /** Until the page sets a better one. */
  title: string;
  load: () => Promise<{ default: ComponentType }>;
}

/**
 * All pages. The build writes their paths to `dist/pages.json`; the server answers any other path with status 404.
 * A page is the default export of a file `features/<noun>/<Name>Page.tsx`.
 */
export const pages: PageSpec[] = [
  { path: "/", title: "Now", load: () => import("../features/now/NowPage") },
  { path: "/welcome", title: "Welcome", load: () => import("../features/welcome/WelcomePage") },
  { path: "/calendar", title: "Calendar", load: () => import("../features/calendar/CalendarPage") },
  { path: "/timers", title: "Timers", load: () => import("../features/timers/TimersPage") },
  { path: "/timers/new", title: "New timer", load: () => import("../features/timers/NewTimerPage") },
  { path: "/timers/{ref}", title: "Timer", load: () => import("../features/timers/TimerPage") },
  { path: "/timers/{ref}/edit", title: "Edit timer", load: () => import("../features/timers/EditTimerPage") },
  { path: "/webhooks", title: "Webhooks", load: () => import("../features/webhooks/WebhooksPage") },
  { path: "/webhooks/inbox", title: "Webhook inbox", load: () => import("../features/webhooks/InboxPage") },
  { path: "/webhooks/inbox/{id}", title: "Webhook request", load: () => import("../features/webhooks/InboxPage") },
  { path: "/webhooks/{ref}", title: "Webhook", load: () => import("../features/webhooks/WebhookPage") },
  { path: "/triggers", title: "Triggers", load: () => import("../features/triggers/TriggersPage") },
  { path: "/triggers/{ref}", title: "Trigger", load: () => import("../features/triggers/TriggerPage") },
  { path: "/rules", title: "Rules", load: () => import("../features/rules/RulesPage") },
  { path: "/rules/new", title: "New rule", load: () => import("../features/rules/NewRulePage") },
  { path: "/rules/{ref}", title: "Rule", load: () => import("../features/rules/RulePage") },
  { path: "/rules/{ref}/edit", title: "Edit rule", load: () => import("../features/rules/EditRulePage") },
  { path: "/events", title: "Events", load: () => import("../features/events/EventsPage") },
  { path: "/events/{id}", title: "Event", load: () => import("../features/go/GoPage") },
  { path: "/executions", title: "Executions", load: () => import("../features/executions/ExecutionsPage") },
  { path: "/executions/{id}", title: "Execution", load: () => import("../features/executions/ExecutionPage") },
  { path: "/actions", title: "Actions", load: () => import("../features/actions/ActionsPage") },
  { path: "/actions/{ref}", title: "Action", load: () => import("../features/actions/ActionPage") },
  { path: "/packs", title: "Packs", load: () => import("../features/packs/PacksPage") },
  { path: "/packs/{ref}", title: "Pack", load: () => import("../features/packs/PackPage") },
  { path: "/workers", title: "Workers", load: () => import("../features/workers/WorkersPage") },
  { path: "/attention", title: "Attention", load: () => import("../features/attention/AttentionPage") },
  { path: "/access/users", title: "Users", load: () => import("../features/access/UsersPage") },
  { path: "/access/tokens", title: "Tokens", load: () => import("../features/access/TokensPage") },
  { path: "/audit", title: "Audit", load: () => import("../features/audit/AuditPage") },
  { path: "/settings/me", title: "My settings", load: () => import("../features/settings/MePage") },
  { path: "/settings/system", title: "System", load: () => import("../features/settings/SystemPage") },
  { path: "/settings/retention", title: "Retention", load: () => import("../features/settings/RetentionPage") },
  { path: "/settings/about", title: "About", load: () => import("../features/settings/AboutPage") },
  { path: "/login", title: "Sign in", load: () => import("../features/go/HomePage") },
  { path: "/go/{id}", title: "Go to", load: () => import("../features/go/GoPage") },
  { path: "/t/{id}", title: "Trace", load: () => import("../features/trace/TracePage") },
];
