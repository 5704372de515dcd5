import { ArrowDown, ArrowUp, MoreHorizontal } from "lucide-react";
import { Button, IconButton } from "../../kit/button";
import { Choice } from "../../kit/form";
import { Glyph } from "../../kit/glyph";
import { Menu } from "../../kit/menu";
import { TextField } from "../definitions/form";
import { ClauseRow } from "./ClauseRow";
import {
  type ConditionForm,
  emptyClause,
  emptyGroup,
  type GroupForm,
  move,
  type NodeForm,
  positions,
  replace,
} from "./condition";

export interface NodeProps {
  /** Replaces a node; `undefined` removes it. */
  change: (id: string, next: NodeForm | undefined) => void;
  shift: (id: string, by: -1 | 1) => void;
  /** What the test says about a position, such as `all[0]`. */
  markAt: (id: string) => "false" | "undecided" | undefined;
  /** The server's message for a position. */
  errorAt: (id: string) => string | undefined;
}

interface Props {
  form: ConditionForm;
  onChange: (next: ConditionForm) => void;
  failedAt: string | undefined;
  undecided: readonly string[];
  errors: readonly { path: string; message: string }[];
}

export function ConditionEditor({ form, onChange, failedAt, undecided, errors }: Props) {
  if (form.mode === "always") {
    return (
      <div className="col">
        <p className="soft">No condition: the rule applies to every event of the trigger.</p>
        <span className="row wrap">
          <Button small onClick={() => onChange({ mode: "tree", root: emptyGroup() })}>
            Add a condition
          </Button>
          <Button small look="plain" onClick={() => onChange({ mode: "expression", text: "" })}>
            Write an expression
          </Button>
        </span>
      </div>
    );
  }
  if (form.mode === "expression") return <Expression text={form.text} onChange={onChange} errors={errors} />;
  if (form.mode === "yaml") {
    return (
      <p className="soft">The form cannot show this condition: {form.why}. Edit it as YAML; it is kept as it is.</p>
    );
  }
  return <Tree root={form.root} onChange={onChange} failedAt={failedAt} undecided={undecided} errors={errors} />;
}

function Expression({
  text,
  onChange,
  errors,
}: {
  text: string;
  onChange: Props["onChange"];
  errors: Props["errors"];
}) {
  return (
    <div className="col">
      <TextField
        label="Expression"
        mono
        multiline
        value={text}
        onChange={(next) => onChange({ mode: "expression", text: next })}
        error={errors.find((error) => error.path === "condition")?.message}
        hint="For example: event.payload.total > 100 and event.payload.country == 'DE'"
      />
      <span>
        <Button small look="plain" onClick={() => onChange({ mode: "always" })}>
          Remove the condition
        </Button>
      </span>
    </div>
  );
}

function Tree({ root, onChange, failedAt, undecided, errors }: Omit<Props, "form"> & { root: NodeForm }) {
  const where = positions(root);
  const props: NodeProps = {
    change: (id, next) => {
      const changed = replace(root, id, () => next);
      onChange(changed === undefined ? { mode: "always" } : { mode: "tree", root: changed });
    },
    shift: (id, by) => onChange({ mode: "tree", root: move(root, id, by) }),
    markAt: (id) => {
      if (undecided.includes(id)) return "undecided";
      return failedAt !== undefined && where.get(id) === failedAt ? "false" : undefined;
    },
    errorAt: (id) => {
      const at = where.get(id) ?? "";
      const full = at === "" ? "condition" : `condition.${at}`;
      return errors.find(
        (error) =>
          error.path === full ||
          (error.path.startsWith(`${full}.`) && !/^\.(all|any|not|value)\b/.test(error.path.slice(full.length))),
      )?.message;
    },
  };
  if (root.kind === "group") return <Group node={root} {...props} />;
  return (
    <div className="col">
      <Node node={root} {...props} />
      <span>
        <Button small onClick={() => onChange({ mode: "tree", root: emptyGroup("all", [root, emptyClause()]) })}>
          Add a clause
        </Button>
      </span>
    </div>
  );
}

export function Node(props: NodeProps & { node: NodeForm }) {
  const { node, change } = props;
  if (node.kind === "group") return <Group {...props} node={node} />;
  if (node.kind === "clause") return <ClauseRow {...props} node={node} />;
  if (node.kind === "not") {
    return (
      <div className="group">
        <span className="row">
          <strong>not</strong>
          <Button small look="plain" onClick={() => change(node.id, node.item)}>
            Remove “not”
          </Button>
        </span>
        <div className="inside">
          <Node {...props} node={node.item} />
        </div>
      </div>
    );
  }
  return (
    <div className="group">
      <ClauseRow {...props} node={node} />
      <div className="inside">
        <Node {...props} node={node.item} />
      </div>
    </div>
  );
}

const OPS = [
  { value: "all", label: "all of" },
  { value: "any", label: "any of" },
] as const;

function Group({ node, ...props }: NodeProps & { node: GroupForm }) {
  const add = (item: NodeForm) => props.change(node.id, { ...node, items: [...node.items, item] });
  const error = props.errorAt(node.id);
  return (
    <div className="group">
      <span className="row">
        <Choice
          label="Combine"
          value={node.op}
          options={OPS}
          onChange={(op) => props.change(node.id, { ...node, op })}
        />
        <NodeMenu node={node} {...props} />
      </span>
      {error !== undefined && (
        <span className="tone-bad">
          <Glyph name="failed" tone="bad" size={13} /> {error}
        </span>
      )}
      <div className="inside group">
        {node.items.map((item) => (
          <Node key={item.id} node={item} {...props} />
        ))}
        <span className="row wrap">
          <Button small onClick={() => add(emptyClause())}>
            Add a clause
          </Button>
          <Button small look="plain" onClick={() => add(emptyGroup(node.op === "all" ? "any" : "all"))}>
            Add a group
          </Button>
        </span>
      </div>
    </div>
  );
}

/** What can be done with a clause or a group. */
export function NodeMenu({ node, change, shift }: NodeProps & { node: NodeForm }) {
  return (
    <Menu
      label="Change this part"
      entries={[
        { label: "Move up", icon: <ArrowUp size={14} />, onSelect: () => shift(node.id, -1) },
        { label: "Move down", icon: <ArrowDown size={14} />, onSelect: () => shift(node.id, 1) },
        { label: "Put into a group", onSelect: () => change(node.id, emptyGroup("any", [node])) },
        { label: "Negate", onSelect: () => change(node.id, { kind: "not", id: `${node.id}n`, item: node }) },
        "line",
        { label: "Remove", onSelect: () => change(node.id, undefined) },
      ]}
    >
      <IconButton small name="Change this part" icon={<MoreHorizontal size={16} />} />
    </Menu>
  );
}
