import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Glyph } from "../../kit/glyph";
import { Page } from "../../kit/page";
import { IdChip, Ref } from "../../kit/ref";
import { Loaded } from "../../kit/states";
import { Tabs } from "../../kit/tabs";
import { Time } from "../../kit/time";
import { asProblem } from "../../lib/http/problem";
import { bytes } from "../../lib/numbers";
import { useMay } from "../../lib/session";
import type { Action } from "../actions/api";
import { DeleteDialog, useOpen } from "../definitions/actions";
import { listOf, oneOf } from "../definitions/api";
import { OnSwitch } from "../definitions/OnSwitch";
import { copyForms } from "../definitions/words";
import type { Rule } from "../rules/api";
import type { Trigger } from "../triggers/api";
import { pageOf } from "../triggers/model";
import { archiveUrl, filesOf, type Pack } from "./api";

export default function PackPage() {
  const { ref = "" } = useParams({ strict: false }) as { ref?: string };
  const query = useQuery(oneOf<Pack>("packs", ref));
  return (
    <Loaded query={query} notFound={`No pack has the ref ${ref}.`}>
      {(pack) => <Detail key={ref} pack={pack} />}
    </Loaded>
  );
}

function useContent(ref: string) {
  const triggers = useQuery(listOf<Trigger>("triggers", { pack_ref: ref }));
  const rules = useQuery(listOf<Rule>("rules", { pack_ref: ref }));
  const actions = useQuery(listOf<Action>("actions", { pack_ref: ref }));
  return { triggers, rules, actions };
}

function Detail({ pack }: { pack: Pack }) {
  const { why } = useMay("editor");
  const removal = useOpen();
  const content = useContent(pack.ref);
  const count = [content.triggers, content.rules, content.actions].reduce(
    (sum, query) => sum + (query.data?.items.length ?? 0),
    0,
  );
  return (
    <Page
      title={pack.ref}
      heading={<span className="mono-title">{pack.ref}</span>}
      aside={
        <span className="soft">
          {pack.label !== pack.ref && `${pack.label}, `}version {pack.version}
        </span>
      }
      actions={
        <>
          <OnSwitch noun="packs" refName={pack.ref} on={pack.enabled} words />
          {pack.has_code && (
            <a className="btn" href={archiveUrl(pack.ref)} download>
              Download
            </a>
          )}
          <CopyAs
            forms={[{ label: "Export command", text: `attune pack export ${pack.ref}` }, ...copyForms("packs", pack)]}
          />
          <Button
            look="danger"
            onClick={removal.show}
            why={why ?? (pack.ref === "core" ? "The pack core belongs to Attune." : undefined)}
          >
            Delete
          </Button>
        </>
      }
    >
      {pack.description != null && <p className="soft">{pack.description}</p>}
      {pack.has_code && (
        <p className="row wrap soft">
          Loaded from {pack.source ?? "files"}, content {pack.hash != null && <IdChip id={pack.hash} />}, changed{" "}
          <Time at={pack.updated_at} show="both" />
        </p>
      )}
      <Tabs
        tabs={[
          { id: "content", label: "Content", content: () => <Content content={content} /> },
          { id: "files", label: "Files", content: () => <Files refName={pack.ref} /> },
        ]}
      />
      <DeleteDialog
        noun="packs"
        refName={pack.ref}
        open={removal.open}
        onClose={removal.hide}
        then="/packs"
        query={count > 0 ? "?cascade=true" : ""}
        type={count > 20 ? pack.ref : undefined}
      >
        {count === 0
          ? "The pack has no definitions."
          : `Its ${content.triggers.data?.items.length ?? 0} triggers, ${content.rules.data?.items.length ?? 0} rules and ${content.actions.data?.items.length ?? 0} actions are deleted too.`}{" "}
        Events and executions are kept.
      </DeleteDialog>
    </Page>
  );
}

function Content({ content }: { content: ReturnType<typeof useContent> }) {
  const { triggers, rules, actions } = content;
  return (
    <div className="two" style={{ paddingTop: 12 }}>
      <Group title="Triggers" query={triggers} to={pageOf} text={(trigger) => trigger.kind.replace("_", " ")} />
      <Group
        title="Rules"
        query={rules}
        to={(rule) => `/rules/${rule.ref}`}
        text={(rule) => `${rule.trigger_ref} → ${rule.action_ref}`}
      />
      <Group
        title="Actions"
        query={actions}
        to={(action) => `/actions/${action.ref}`}
        text={(action) => action.runtime_ref}
      />
    </div>
  );
}

interface GroupProps<T> {
  title: string;
  query: { data: { items: T[] } | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
  to: (item: T) => string;
  text: (item: T) => string;
}

function Group<T extends { ref: string; enabled: boolean }>({ title, query, to, text }: GroupProps<T>) {
  return (
    <section className="card">
      <header>
        <h2>
          {title} {query.data?.items.length}
        </h2>
      </header>
      <Loaded query={query}>
        {({ items }) => (
          <ul className="lines">
            {items.length === 0 && <li className="soft">none</li>}
            {items.map((item) => (
              <li key={item.ref} className="row wrap">
                <Glyph
                  name={item.enabled ? "done" : "off"}
                  tone={item.enabled ? "ok" : "quiet"}
                  label={item.enabled ? "enabled" : "disabled"}
                />
                <Ref name={item.ref} to={to(item)} />
                <span className="meta">{text(item)}</span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </section>
  );
}

function Files({ refName }: { refName: string }) {
  const query = useQuery(filesOf(refName));
  // A pack that was created through the API has no files; the server says so with this type.
  if (query.error != null && asProblem(query.error).kind === "no_files") {
    return <p className="card empty">This pack was not loaded from files.</p>;
  }
  return (
    <div style={{ paddingTop: 12 }}>
      <Loaded query={query}>
        {(files) => (
          <ul className="card lines">
            {files.map((file) => (
              <li key={file.path} className="row wrap">
                <span className="mono grow">{file.path}</span>
                {file.executable && <span className="tag">executable</span>}
                <span className="num soft">{bytes(file.bytes)}</span>
                <IdChip id={file.sha256} />
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </div>
  );
}
