import { Button } from "../kit/button";
import { copyText } from "../kit/copy";
import { Page } from "../kit/page";

/** A defect of the page itself. The rest of the app keeps working. */
export function PartFailed({ error: thrown }: { error: unknown }) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  // A new build of the UI is on the server, and the old files are gone.
  const outdated = /dynamically imported module|Importing a module/.test(error.message);
  const report = [error.message, window.location.pathname, error.stack ?? ""].join("\n");
  return (
    <Page title="This page failed">
      <div className="card empty" role="alert">
        <p>{outdated ? "Attune was updated, and this page has to be loaded again." : error.message}</p>
        <div className="row">
          <Button look="primary" onClick={() => window.location.reload()}>
            Reload
          </Button>
          {!outdated && <Button onClick={() => copyText(report, "The report")}>Copy report</Button>}
        </div>
      </div>
    </Page>
  );
}
