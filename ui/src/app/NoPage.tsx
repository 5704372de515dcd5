import { Page } from "../kit/page";
import { ProblemView } from "../kit/states";
import { ProblemError } from "../lib/http/problem";

export function NoPage() {
  const error = new ProblemError({
    type: "urn:attune:problem:not_found",
    title: "Not Found",
    status: 404,
    detail: "There is no page at this address.",
    errors: [],
  });
  return (
    <Page title="Not found" heading="Not found">
      <ProblemView error={error} />
    </Page>
  );
}
