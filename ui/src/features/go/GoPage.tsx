import { useQuery } from "@tanstack/react-query";
import { Navigate, useParams } from "@tanstack/react-router";
import { Page } from "../../kit/page";
import { Loaded, ProblemView } from "../../kit/states";
import { ProblemError } from "../../lib/http/problem";
import { isId } from "../../lib/uuid";
import { type Resolved, resolve, search } from "./api";

/** Any id or ref: goes to its page. */
export default function GoPage() {
  const { id = "" } = useParams({ strict: false }) as { id?: string };
  const query = useQuery({
    queryKey: ["go", id],
    queryFn: async ({ signal }) => {
      if (isId(id)) {
        const found = await resolve(id);
        return found ? placeOf(found) : null;
      }
      const named = (await search(id, signal)).find(({ ref }) => ref === id);
      return named ? { to: named.to, search: {} } : null;
    },
  });
  return (
    <Loaded query={query} skeleton={<div className="page-body" aria-busy="true" />}>
      {(target) => (target ? <Navigate to={target.to} search={target.search as never} replace /> : <Unknown id={id} />)}
    </Loaded>
  );
}

function placeOf({ id, noun, trace_id, path }: Resolved) {
  if (!trace_id) return { to: path, search: {} };
  const isNode = id !== trace_id && noun !== "webhook_request";
  return { to: `/t/${trace_id}`, search: isNode ? { node: id } : {} };
}

function Unknown({ id }: { id: string }) {
  const error = new ProblemError({
    type: "urn:attune:problem:not_found",
    title: "Not Found",
    status: 404,
    detail: `Nothing has the ${isId(id) ? "id" : "name"} ${id}. It may have been removed after the days it is kept, or the address is mistyped.`,
    errors: [],
  });
  return (
    <Page title="Not found">
      <ProblemView error={error} />
    </Page>
  );
}
