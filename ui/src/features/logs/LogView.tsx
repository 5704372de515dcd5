import { useVirtualizer } from "@tanstack/react-virtual";
import { clsx } from "clsx";
import { ArrowDownToLine, Copy, Download } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { Button, IconButton } from "../../kit/button";
import { copyText } from "../../kit/copy";
import { ProblemView } from "../../kit/states";
import { useUrl } from "../../kit/url";
import { saveFile } from "../../lib/file";
import { useKeys } from "../../lib/keys";
import { remember, remembered } from "../../lib/storage";
import { clockTime, ms, useZone } from "../../lib/time";
import { useOutput } from "./api";
import { find, type Line, lineText, rangeOf } from "./model";
import "./logs.css";

interface Options {
  stdout: boolean;
  stderr: boolean;
  time: boolean;
  wrap: boolean;
}

interface Props {
  executionId: string;
  /** The attempt that is shown unless the address names one. */
  attempt: number;
  attempts: number;
  running: boolean;
  /** Written below the last line: how it ended. */
  ending?: string | undefined;
}

export function LogView({ executionId, attempt: latest, attempts, running, ending }: Props) {
  const [url, setUrl] = useUrl();
  const [restart, setRestart] = useState(0);
  const output = useOutput(executionId, restart);
  const attempt = Math.min(attempts, Number(url.attempt) || latest);
  const [options, setOptions] = useState<Options>(() => ({
    stdout: true,
    stderr: true,
    time: false,
    wrap: true,
    ...remembered<Partial<Options>>("log", {}),
  }));
  const toggle = (name: keyof Options) => {
    const next = { ...options, [name]: !options[name] };
    setOptions(next);
    remember("log", { time: next.time, wrap: next.wrap });
  };
  const held = output.attempts.get(attempt);
  const { version } = output;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the lines grow in place; the version says so.
  const lines = useMemo(
    () => (held?.lines ?? []).filter((line) => (line.stream === "stderr" ? options.stderr : options.stdout)),
    [held, version, options.stdout, options.stderr],
  );
  const text = () => lines.map(lineText).join("\n");

  if (output.error && output.error.problem.status >= 400 && !held) {
    return <ProblemView error={output.error} retry={() => setRestart(restart + 1)} />;
  }
  return (
    <div className="log card">
      <div className="log-bar">
        {attempts > 1 && (
          <span className="row" role="group" aria-label="Attempt">
            attempt
            {Array.from({ length: attempts }, (_, index) => index + 1).map((number) => (
              <button
                key={number}
                type="button"
                className="chip"
                aria-pressed={number === attempt}
                onClick={() => setUrl({ attempt: number === latest ? undefined : String(number) })}
              >
                {number}
              </button>
            ))}
          </span>
        )}
        {(["stdout", "stderr", "time", "wrap"] as const).map((name) => (
          <label key={name} className="row log-option">
            <input type="checkbox" checked={options[name]} onChange={() => toggle(name)} /> {name}
          </label>
        ))}
        <span className="push row">
          <IconButton
            small
            name="Copy the output"
            icon={<Copy size={14} />}
            onClick={() => copyText(text(), "The output")}
          />
          <IconButton
            small
            name="Download the output"
            icon={<Download size={14} />}
            onClick={() =>
              saveFile(`${executionId}-${attempt}.log`, (held?.lines ?? []).map((line) => line.text).join("\n"))
            }
          />
        </span>
      </div>
      <Scroll lines={lines} options={options} live={running && attempt === latest} dropped={held?.dropped ?? 0} />
      {lines.length === 0 && <p className="log-end">{running || !output.complete ? "No output yet." : "No output."}</p>}
      {output.complete && ending && attempt === latest && <p className="log-end">— {ending} —</p>}
    </div>
  );
}

interface ScrollProps {
  lines: readonly Line[];
  options: Options;
  live: boolean;
  dropped: number;
}

function Scroll({ lines, options, live, dropped }: ScrollProps) {
  const box = useRef<HTMLDivElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const zone = useZone();
  const [follow, setFollow] = useState(true);
  const [seen, setSeen] = useState(0);
  const [needle, setNeedle] = useState("");
  const [hit, setHit] = useState(0);
  const [range, setRange] = useState(() => rangeOf(window.location.hash));
  const hits = useMemo(() => find(lines, needle), [lines, needle]);
  const current = hits[hit % Math.max(1, hits.length)];

  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => 18,
    overscan: 30,
  });

  const toEnd = () => {
    setFollow(true);
    if (lines.length > 0) virtual.scrollToIndex(lines.length - 1, { align: "end" });
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: follows when lines were added.
  useEffect(() => {
    if (follow && live && lines.length > 0) virtual.scrollToIndex(lines.length - 1, { align: "end" });
    if (follow) setSeen(lines.length);
  }, [lines.length, follow, live]);

  const started = useRef(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the lines have arrived.
  useEffect(() => {
    if (started.current || !range || lines.length === 0) return;
    const index = lines.findIndex((line) => line.number === range[0]);
    if (index < 0) return;
    started.current = true;
    setFollow(false);
    virtual.scrollToIndex(index, { align: "center" });
  }, [lines.length, range]);

  const show = (next: number) => {
    if (hits.length === 0) return;
    const wrapped = (next + hits.length) % hits.length;
    setHit(wrapped);
    setFollow(false);
    virtual.scrollToIndex(hits[wrapped] ?? 0, { align: "center" });
  };
  useKeys("Output", [
    { keys: "/", text: "Find in the output", run: () => search.current?.focus() },
    { keys: "n", text: "Next match", run: () => show(hit + 1) },
    { keys: "shift+n", text: "Previous match", run: () => show(hit - 1) },
    { keys: "shift+g", text: "End of the output", run: toEnd },
    { keys: "g g", text: "Top of the output", run: () => virtual.scrollToIndex(0) },
  ]);

  const mark = (number: number, extend: boolean) => {
    const next: [number, number] =
      extend && range ? [Math.min(range[0], number), Math.max(range[0], number)] : [number, number];
    setRange(next);
    const hash = next[0] === next[1] ? `#L${next[0]}` : `#L${next[0]}-L${next[1]}`;
    window.history.replaceState(
      window.history.state,
      "",
      `${window.location.pathname}${window.location.search}${hash}`,
    );
  };
  const first = ms(lines[0]?.at ?? 0);

  return (
    <>
      <div className="log-find row">
        <input
          ref={search}
          className="input mono"
          placeholder="find, or /expression/"
          aria-label="Find in the output"
          value={needle}
          onChange={(event) => {
            setNeedle(event.target.value);
            setHit(0);
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter")
              show(event.shiftKey ? hit - 1 : needle && hit === 0 && current !== undefined ? 0 : hit + 1);
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
        <span className="meta num" role="status">
          {needle && `${hits.length === 0 ? 0 : (hit % hits.length) + 1} of ${hits.length}`}
        </span>
        <IconButton small className="push" name="Go to the end" icon={<ArrowDownToLine size={14} />} onClick={toEnd} />
      </div>
      {dropped > 0 && <p className="log-end">{dropped} older lines are not kept here. Download has them all.</p>}
      <section
        className={clsx("log-box", options.wrap && "wrap")}
        ref={box}
        tabIndex={0}
        aria-label="Output"
        onScroll={({ currentTarget: at }) => {
          const atEnd = at.scrollHeight - at.scrollTop - at.clientHeight < 24;
          if (atEnd !== follow) setFollow(atEnd);
        }}
      >
        <div className="log-lines" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const line = lines[item.index];
            if (!line) return null;
            const chosen = range && line.number >= range[0] && line.number <= range[1];
            return (
              <div
                key={item.key}
                ref={virtual.measureElement}
                data-index={item.index}
                className={clsx("log-line", line.stream, chosen && "chosen", item.index === current && needle && "hit")}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <button
                  type="button"
                  className="log-number"
                  aria-label={`Line ${line.number}`}
                  onClick={(event) => mark(line.number, event.shiftKey)}
                >
                  {line.number}
                </button>
                {options.time && (
                  <span
                    className="log-time"
                    title={line.at ? `${((ms(line.at) - first) / 1000).toFixed(3)} s after the first line` : ""}
                  >
                    {line.at ? clockTime(line.at, zone, "ms") : ""}
                  </span>
                )}
                <span className="log-text">
                  {line.spans.map((span, index) => (
                    <span
                      key={index}
                      className={clsx(
                        span.colour && `ansi-${span.colour}`,
                        span.bold && "ansi-bold",
                        span.dim && "ansi-dim",
                        span.underline && "ansi-under",
                      )}
                    >
                      {span.text}
                    </span>
                  ))}
                </span>
                {line.stream === "stderr" && <span className="log-stream">stderr</span>}
              </div>
            );
          })}
        </div>
      </section>
      {!follow && live && lines.length > seen && (
        <Button small look="primary" className="log-more" onClick={toEnd}>
          ↓ {lines.length - seen} new lines
        </Button>
      )}
    </>
  );
}
