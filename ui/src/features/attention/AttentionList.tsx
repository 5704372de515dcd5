import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, LinkButton } from "../../kit/button";
import { Glyph } from "../../kit/glyph";
import { Time } from "../../kit/time";
import { toast } from "../../kit/toast";
import { asProblem } from "../../lib/http/problem";
import { useMay } from "../../lib/session";
import { type AttentionItem, fix, pageOf } from "./api";
import "./attention.css";

/** One sentence each, since when, and one button that helps. */
export function AttentionList({ items }: { items: AttentionItem[] }) {
  return (
    <ul>
      {items.map((item) => (
        <li key={item.id} className="attention-item">
          <Glyph
            name={item.severity === "bad" ? "failed" : "attention"}
            tone={item.severity === "bad" ? "bad" : "late"}
            label={item.severity === "bad" ? "broken" : "worth checking"}
          />
          <span className="attention-text">{item.says}</span>
          <span className="row attention-act">
            {item.since && (
              <span className="meta">
                since <Time at={item.since} show="relative" />
              </span>
            )}
            <Fix item={item} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function Fix({ item }: { item: AttentionItem }) {
  const client = useQueryClient();
  const { why } = useMay("operator");
  const run = useMutation({
    mutationFn: () => fix(item),
    onSuccess: () => toast(`${item.fix?.label}: done.`, { tone: "ok" }),
    onError: (error) => toast(asProblem(error).message, { tone: "bad" }),
    onSettled: () => client.invalidateQueries({ queryKey: ["attention"] }),
  });
  const page = pageOf(item);
  return (
    <>
      {item.fix && (
        <Button small why={why} pending={run.isPending} onClick={() => run.mutate()}>
          {item.fix.label}
        </Button>
      )}
      {page && (
        <LinkButton small to={page}>
          Show
        </LinkButton>
      )}
    </>
  );
}
