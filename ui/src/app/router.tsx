import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { Skeleton } from "../kit/states";
import { NoPage } from "./NoPage";
import { PartFailed } from "./PartFailed";
import { pages } from "./pages";
import { Root } from "./Root";

const root = createRootRoute({ component: Root, notFoundComponent: NoPage });

const routes = pages.map(({ path, load }) =>
  createRoute({
    getParentRoute: () => root,
    path: path.replace(/\{(\w+)\}/g, "$$$1"),
    component: lazyRouteComponent(load),
  }),
);

/** Plain text in the address: `?status=failed,lost&since=-24h`. */
const parseSearch = (text: string) => Object.fromEntries(new URLSearchParams(text));
const stringifySearch = (search: Record<string, unknown>) => {
  const set = Object.entries(search).filter(([, value]) => value !== undefined && value !== "");
  if (set.length === 0) return "";
  const query = new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString();
  return `?${query.replaceAll("%2C", ",").replaceAll("%3A", ":")}`;
};

const basepath = new URL(document.baseURI).pathname.replace(/\/$/, "") || "/";

export const router = createRouter({
  routeTree: root.addChildren(routes),
  basepath,
  parseSearch,
  stringifySearch,
  scrollRestoration: true,
  scrollToTopSelectors: ["#page"],
  defaultPreload: "intent",
  defaultPreloadDelay: 75,
  defaultPendingMs: 150,
  defaultPendingComponent: () => (
    <div className="page-body">
      <Skeleton />
    </div>
  ),
  defaultErrorComponent: PartFailed,
});
