import { Link } from "@tanstack/react-router";
import { Glyph } from "../../kit/glyph";
import { Time } from "../../kit/time";
import { asProblem } from "../../lib/http/problem";
import { pageOf, useAttention } from "../attention/api";

const shownMax = 4;

/** One line when all is well; otherwise the worst problems, each with a link. */
export function NowAttention() {
  const { data, error } = useAttention();
  if (error && !data)
    return <p className="soft">What needs attention could not be loaded: {asProblem(error).message}</p>;
  if (!data) return <p className="soft">&nbsp;</p>;
  if (data.length === 0) {
    return (
      <p className="row soft">
        <Glyph name="done" tone="ok" /> Nothing needs attention.
      </p>
    );
  }
  return (
    <section className="card">
      <header>
        <h2 className="grow">Needs attention ({data.length})</h2>
        {data.length > shownMax && <Link to="/attention">All {data.length}</Link>}
      </header>
      <ul>
        {data.slice(0, shownMax).map((item) => (
          <li key={item.id}>
            <Link
              to={(pageOf(item) ?? "/attention").split("?")[0] ?? "/attention"}
              search={queryOf(pageOf(item))}
              className="attention-line"
            >
              <Glyph
                name={item.severity === "bad" ? "failed" : "attention"}
                tone={item.severity === "bad" ? "bad" : "late"}
              />
              <span className="grow">{item.says}</span>
              {item.since && (
                <span className="meta">
                  <Time at={item.since} show="relative" />
                </span>
              )}
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

const queryOf = (page: string | undefined) =>
  Object.fromEntries(new URLSearchParams(page?.split("?")[1] ?? "")) as never;
