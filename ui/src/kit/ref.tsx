import { Link } from "@tanstack/react-router";
import { Copy } from "lucide-react";
import { copyText } from "./copy";

/** A ref or another name in its own typeface, with a link if it has a page. */
export function Ref({ name, to }: { name: string; to?: string | undefined }) {
  if (!to) return <span className="mono">{name}</span>;
  return (
    <Link to={to} className="mono" onClick={(event) => event.stopPropagation()}>
      {name}
    </Link>
  );
}

/** Shows the end of an id and copies all of it. */
export function IdChip({ id }: { id: string }) {
  return (
    <button
      type="button"
      className="id"
      title={`Copy ${id}`}
      aria-label={`…${id.slice(-8)}, copy the id`}
      onClick={(event) => {
        event.stopPropagation();
        copyText(id, "The id");
      }}
    >
      …{id.slice(-8)}
      <Copy size={11} aria-hidden />
    </button>
  );
}
