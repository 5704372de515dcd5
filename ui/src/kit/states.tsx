import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { asProblem } from "../lib/http/problem";
import { Button } from "./button";
import { copyText } from "./copy";
import { Glyph, type GlyphName, type Tone } from "./glyph";

interface BannerProps {
  tone: Tone;
  glyph?: GlyphName;
  children: ReactNode;
  action?: ReactNode;
}

export function Banner({ tone, glyph = "attention", children, action }: BannerProps) {
  return (
    <div className={`banner tint-${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <Glyph name={glyph} tone={tone} />
      <div className="grow">{children}</div>
      {action}
    </div>
  );
}

/** One sentence, one button, one command. */
export function Empty({ text, action, command }: { text: ReactNode; action?: ReactNode; command?: string }) {
  return (
    <div className="card empty">
      <p>{text}</p>
      {command && (
        <button type="button" className="id" title="Copy the command" onClick={() => copyText(command, "The command")}>
          {command}
        </button>
      )}
      {action}
    </div>
  );
}

const titles: Record<string, string> = {
  not_found: "Not found",
  forbidden: "Not permitted",
  overloaded: "Attune is catching up",
  unreachable: "Attune does not respond",
  invalid: "This request is not valid",
};

/** A problem of the API in place of the part that it concerns. */
export function ProblemView({ error, retry, notFound }: { error: unknown; retry?: () => void; notFound?: ReactNode }) {
  const failed = asProblem(error);
  const { problem } = failed;
  const text =
    failed.kind === "overloaded"
      ? "Events have waited too long. History is unavailable until it has caught up; definitions, cancel and run still work."
      : problem.detail;
  return (
    <div className="card empty" role="alert">
      <Glyph
        name={failed.kind === "forbidden" ? "off" : "attention"}
        tone={problem.status === 404 ? "quiet" : "late"}
        size={20}
      />
      <h2>{titles[failed.kind] ?? "This could not be loaded"}</h2>
      <p>{failed.kind === "not_found" && notFound ? notFound : text}</p>
      {problem.errors.map(({ path, message }) => (
        <p key={path}>
          <code>{path}</code> {message}
        </p>
      ))}
      {failed.kind === "not_found" && (
        <p>
          <Link to="/">Now</Link> shows what happens at the moment, and Ctrl K finds any ref or id.
        </p>
      )}
      {retry && ![403, 404, 422].includes(problem.status) && <Button onClick={retry}>Retry</Button>}
      {problem.instance && (
        <button type="button" className="id" onClick={() => copyText(problem.instance ?? "", "The request id")}>
          request {problem.instance.slice(0, 8)}…
        </button>
      )}
    </div>
  );
}

/** The shape of the real layout, after 150 ms. */
export function Skeleton({ rows = 6, height = 20 }: { rows?: number; height?: number }) {
  return (
    <div className="col" aria-busy="true">
      <span className="hidden-text">Loading</span>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className="skeleton" style={{ height, width: `${92 - ((index * 17) % 40)}%` }} />
      ))}
    </div>
  );
}

interface Loadable<T> {
  data: T | undefined;
  error: unknown;
  isPending: boolean;
  refetch: () => unknown;
}

/** Loading, failed, or loaded. Data that is there stays when a later request fails. */
export function Loaded<T>(props: {
  query: Loadable<T>;
  children: (data: T) => ReactNode;
  skeleton?: ReactNode;
  notFound?: ReactNode;
}) {
  const { query, children, skeleton, notFound } = props;
  if (query.data !== undefined) {
    return (
      <>
        {query.error ? <Stale error={query.error} retry={() => void query.refetch()} /> : null}
        {children(query.data)}
      </>
    );
  }
  if (query.error) return <ProblemView error={query.error} retry={() => void query.refetch()} notFound={notFound} />;
  return <>{skeleton ?? <Skeleton />}</>;
}

function Stale({ error, retry }: { error: unknown; retry: () => void }) {
  const failed = asProblem(error);
  if (failed.kind === "unreachable") return null;
  return (
    <Banner
      tone="late"
      action={
        <Button small onClick={retry}>
          Retry
        </Button>
      }
    >
      {failed.kind === "overloaded"
        ? "Attune is catching up; this may be out of date."
        : `This may be out of date: ${failed.problem.detail}.`}
    </Banner>
  );
}
