import { Glyph } from "../../kit/glyph";
import { NodeMenu, type NodeProps } from "./ConditionEditor";
import {
  type ClauseForm,
  emptyClause,
  type ItemsForm,
  type Missing,
  OPERATOR_WORDS,
  OPERATORS,
  type Operator,
  TEXT_OPERATORS,
} from "./condition";

const MISSING: readonly { value: Missing; label: string }[] = [
  { value: "undecided", label: "if missing: cannot be evaluated" },
  { value: "false", label: "if missing: false" },
  { value: "true", label: "if missing: true" },
  { value: "fail", label: "if missing: always cannot be evaluated" },
];

/** One clause: path, operator, value. The completion of paths comes from the latest events. */
export function ClauseRow({ node, ...props }: NodeProps & { node: ClauseForm | ItemsForm }) {
  const { change, markAt, errorAt } = props;
  const mark = markAt(node.id);
  const error = errorAt(node.id);
  const setOperator = (operator: Operator) => {
    const items = operator === "any_item" || operator === "every_item";
    if (node.kind === "clause" && items) {
      change(node.id, {
        kind: "items",
        id: node.id,
        path: node.path,
        operator,
        missing: node.missing,
        item: emptyClause("item."),
      });
    } else if (node.kind === "items" && !items) {
      change(node.id, {
        kind: "clause",
        id: node.id,
        path: node.path,
        operator,
        value: "",
        missing: node.missing,
        ignoreCase: null,
      });
    } else if (node.kind === "clause") {
      const ignoreCase = TEXT_OPERATORS.has(operator) ? node.ignoreCase : null;
      change(node.id, { ...node, operator, missing: operator === "exists" ? "undecided" : node.missing, ignoreCase });
    } else change(node.id, { ...node, operator: operator as ItemsForm["operator"] });
  };
  return (
    <div className="clause">
      {mark === undefined ? (
        <span />
      ) : (
        <Glyph
          name={mark === "false" ? "failed" : "lost"}
          tone={mark === "false" ? "bad" : "lost"}
          label={mark === "false" ? "does not hold" : "cannot be evaluated"}
        />
      )}
      <input
        className="input mono"
        aria-label="Path"
        aria-invalid={error !== undefined}
        placeholder="payload.field"
        list="paths"
        spellCheck={false}
        value={node.path}
        onChange={(event) => change(node.id, { ...node, path: event.target.value })}
      />
      <select
        className="input"
        aria-label="Operator"
        title={node.operator}
        value={node.operator}
        onChange={(event) => setOperator(event.target.value as Operator)}
      >
        {OPERATORS.map((operator) => (
          <option key={operator} value={operator}>
            {OPERATOR_WORDS[operator]}
          </option>
        ))}
      </select>
      {node.kind === "clause" ? (
        <Value node={node} onChange={(next) => change(node.id, next)} />
      ) : (
        <span className="soft">the following</span>
      )}
      <NodeMenu node={node} {...props} />
      {error !== undefined && <span className="under tone-bad">{error}</span>}
      {node.path !== "" && node.operator !== "exists" && <Options node={node} change={change} />}
    </div>
  );
}

function Value({ node, onChange }: { node: ClauseForm; onChange: (next: ClauseForm) => void }) {
  if (node.operator === "exists") {
    return (
      <select
        className="input"
        aria-label="Value"
        value={node.value === "false" ? "false" : "true"}
        onChange={(event) => onChange({ ...node, value: event.target.value === "false" ? "false" : "" })}
      >
        <option value="true">yes</option>
        <option value="false">no</option>
      </select>
    );
  }
  const list = node.operator === "in" || node.operator === "not_in";
  return (
    <input
      className="input mono"
      aria-label="Value"
      placeholder={list ? '["DE", "AT"]' : "value"}
      title="Text, a number, true, false, or JSON. Text that looks like one of the others needs quotes."
      spellCheck={false}
      value={node.value}
      onChange={(event) => onChange({ ...node, value: event.target.value })}
    />
  );
}

function Options({ node, change }: { node: ClauseForm | ItemsForm; change: NodeProps["change"] }) {
  return (
    <span className="under row wrap meta">
      <select
        className="plain-select"
        aria-label="If the path is missing"
        value={node.missing}
        onChange={(event) => change(node.id, { ...node, missing: event.target.value as Missing })}
      >
        {MISSING.filter((option) => option.value !== "fail" || node.missing === "fail").map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
      {node.kind === "clause" && TEXT_OPERATORS.has(node.operator) && (
        <label className="row" style={{ gap: 4 }}>
          <input
            type="checkbox"
            checked={node.ignoreCase === true}
            onChange={(event) => change(node.id, { ...node, ignoreCase: event.target.checked ? true : null })}
          />{" "}
          ignore upper and lower case
        </label>
      )}
    </span>
  );
}
