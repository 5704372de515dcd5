import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import { Page } from "../../kit/page";
import { Loaded } from "../../kit/states";
import { forEditing } from "../definitions/api";
import { NeedsEditor } from "../definitions/NeedsEditor";
import type { Rule } from "./api";
import { draftOfRule } from "./draft";
import { RuleForm } from "./RuleForm";

export default function EditRulePage() {
  const { ref = "" } = useParams({ strict: false }) as { ref?: string };
  const query = useQuery(forEditing<Rule>("rules", ref));
  return (
    <Page title={`Edit ${ref}`}>
      <NeedsEditor what="Editing a rule">
        <Loaded query={query} notFound={`No rule has the ref ${ref}.`}>
          {({ data, etag }) => <Edit key={etag ?? ref} rule={data} etag={etag} />}
        </Loaded>
      </NeedsEditor>
    </Page>
  );
}

function Edit({ rule, etag }: { rule: Rule; etag: string | undefined }) {
  const initial = useMemo(() => draftOfRule(rule), [rule]);
  return <RuleForm initial={initial} stored={rule} etag={etag} />;
}
