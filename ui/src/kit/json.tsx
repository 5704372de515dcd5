import { Copy } from "lucide-react";
import type { ReactNode } from "react";
import { IconButton } from "./button";
import { copyText } from "./copy";

/** Above this size it is shown as text, not as a tree. */
const treeLimit = 200_000;

export function JsonView({ value, name = "The value" }: { value: unknown; name?: string }) {
  if (value === undefined || value === null) return <p className="meta json">null</p>;
  const text = JSON.stringify(value, null, 2);
  return (
    <div className="json-box">
      <IconButton
        small
        name={`Copy ${name.toLowerCase()}`}
        className="json-copy"
        icon={<Copy size={13} />}
        onClick={() => copyText(text, name)}
      />
      <section className="json" tabIndex={0} aria-label={name}>
        {text.length > treeLimit ? text : <Node value={value} />}
      </section>
    </div>
  );
}

function Node({ value, depth = 0 }: { value: unknown; depth?: number }): ReactNode {
  if (typeof value === "string") return <span className="s">{JSON.stringify(value)}</span>;
  if (typeof value === "number") return <span className="n">{String(value)}</span>;
  if (typeof value !== "object" || value === null) return <span className="l">{String(value)}</span>;
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  const [opening, closing] = isList ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) return `${opening}${closing}`;
  const inside = entries.map(([key, child], index) => (
    <div key={key} className="in">
      {!isList && <span className="k">{JSON.stringify(key)}: </span>}
      <Node value={child} depth={depth + 1} />
      {index < entries.length - 1 && ","}
    </div>
  ));
  if (depth === 0) {
    return (
      <>
        {opening}
        {inside}
        {closing}
      </>
    );
  }
  return (
    <details open={depth < 3 && entries.length <= 40} className="json-node">
      <summary>
        {opening}
        <span className="meta"> {isList ? `${entries.length} items` : `${entries.length} fields`}</span>
      </summary>
      {inside}
      {closing}
    </details>
  );
}
