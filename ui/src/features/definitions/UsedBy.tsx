import { useQuery } from "@tanstack/react-query";
import { LinkButton } from "../../kit/button";
import { Glyph } from "../../kit/glyph";
import { Ref } from "../../kit/ref";
import { Loaded } from "../../kit/states";
import { useMay } from "../../lib/session";
import type { Rule } from "../rules/api";
import { conditionWords } from "../rules/words";
import { listOf } from "./api";

/** The rules of a trigger, or of an action. */
export function UsedBy({ trigger, action }: { trigger?: string; action?: string }) {
  const query = useQuery(listOf<Rule>("rules", trigger == null ? { action_ref: action } : { trigger_ref: trigger }));
  const { may } = useMay("editor");
  const preset = trigger == null ? `action=${action}` : `trigger=${trigger}`;
  return (
    <section className="card">
      <header>
        <h2>
          Used by{query.data ? ` ${query.data.items.length} ${query.data.items.length === 1 ? "rule" : "rules"}` : ""}
        </h2>
        <span className="push" />
        {may && (
          <LinkButton to={`/rules/new?${preset}`} small>
            New rule
          </LinkButton>
        )}
      </header>
      <Loaded query={query}>
        {({ items }) => (
          <ul className="lines">
            {items.length === 0 && <li className="soft">No rule uses it, so nothing runs.</li>}
            {items.map((rule) => (
              <li key={rule.ref} className="row wrap">
                <Glyph
                  name={rule.enabled ? "done" : "off"}
                  tone={rule.enabled ? "ok" : "quiet"}
                  label={rule.enabled ? "enabled" : "disabled"}
                />
                <Ref name={rule.ref} to={`/rules/${rule.ref}`} />
                <span className="soft">
                  {trigger == null ? `when ${rule.trigger_ref} fires` : `runs ${rule.action_ref}`}
                </span>
                {rule.condition != null && <span className="meta">if {conditionWords(rule.condition)}</span>}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </section>
  );
}
