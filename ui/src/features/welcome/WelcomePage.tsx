import { useMutation } from "@tanstack/react-query";
import { CalendarClock, Clock, type LucideIcon, Play, Webhook } from "lucide-react";
import { useState } from "react";
import { Button } from "../../kit/button";
import { CopyAs } from "../../kit/copy";
import { Page } from "../../kit/page";
import { fieldErrors } from "../../kit/problems";
import { Banner } from "../../kit/states";
import { useUrl } from "../../kit/url";
import { useKeys } from "../../lib/keys";
import { useMay } from "../../lib/session";
import { browserZone } from "../../lib/time";
import { useExecution } from "../executions/api";
import { isFinal } from "../executions/model";
import { LogView } from "../logs/LogView";
import { type Enabled, enable, ensureAction, type Made, run } from "./api";
import { FirstTrace } from "./FirstTrace";
import { type Choices, type Start, yamlOf } from "./model";
import { SentenceForm } from "./SentenceForm";
import "./welcome.css";

const starts: { id: Start; label: string; text: string; icon: LucideIcon }[] = [
  { id: "interval", label: "On an interval", text: "every 10 seconds, every hour", icon: Clock },
  { id: "time", label: "At a set time", text: "at 09:00 on weekdays", icon: CalendarClock },
  { id: "webhook", label: "When a webhook is called", text: "another system sends a request", icon: Webhook },
  { id: "manual", label: "By hand", text: "when you press a button", icon: Play },
];

export default function WelcomePage() {
  const [url, setUrl] = useUrl();
  const start = starts.find(({ id }) => id === url.start)?.id;
  const { why } = useMay("editor");
  return (
    <Page title="Welcome" heading="Make the first automation">
      {why && <Banner tone="late">{why}</Banner>}
      <div className="welcome">
        <h2>What should start it?</h2>
        <div className="starts">
          {starts.map(({ id, label, text, icon: Icon }) => (
            <button
              key={id}
              type="button"
              className="start"
              aria-pressed={start === id}
              onClick={() => setUrl({ start: id })}
            >
              <Icon size={20} aria-hidden />
              <span className="start-label">{label}</span>
              <span className="meta">{text}</span>
            </button>
          ))}
        </div>
        {start && <Builder key={start} start={start} why={why} />}
      </div>
    </Page>
  );
}

function Builder({ start, why }: { start: Start; why: string | undefined }) {
  const [choices, setChoices] = useState<Choices>({
    start,
    every: "10s",
    at: "09:00",
    days: "every",
    zone: browserZone(),
    command: "echo hello",
  });
  const [made, setMade] = useState<Made>();
  const [enabled, setEnabled] = useState<Enabled>();
  const attempt = useMutation({
    mutationFn: async () => {
      const action = await ensureAction(choices.command, made);
      setMade(action);
      return run(action.ref);
    },
  });
  const activate = useMutation({
    mutationFn: async () => {
      const action = await ensureAction(choices.command, made);
      setMade(action);
      return enable(choices, action.ref);
    },
    onSuccess: setEnabled,
  });
  const errors = fieldErrors(attempt.error ?? activate.error, ["entry_point", "trigger"]);
  const ready = choices.command.trim() !== "" && !why;
  useKeys("Welcome", [
    { keys: "mod+Enter", text: "Try it now", run: () => ready && !enabled && attempt.mutate() },
    {
      keys: "mod+shift+Enter",
      text: "Enable",
      run: () => ready && !enabled && start !== "manual" && activate.mutate(),
    },
  ]);

  if (enabled && made) return <FirstTrace enabled={enabled} command={choices.command} />;
  return (
    <div className="col loose">
      <SentenceForm
        choices={choices}
        onChange={setChoices}
        error={errors.at.entry_point ?? errors.at.trigger ?? errors.rest[0]}
      />
      <div className="row wrap">
        <Button disabled={!ready} pending={attempt.isPending} onClick={() => attempt.mutate()}>
          {start === "manual" ? "Run it" : "Try it now"}
        </Button>
        {start !== "manual" && (
          <Button look="primary" disabled={!ready} pending={activate.isPending} onClick={() => activate.mutate()}>
            Enable
          </Button>
        )}
        <CopyAs forms={[{ label: "YAML", text: yamlOf(choices, made?.ref ?? "my.first") }]} />
        {made && (
          <span className="meta">
            The command is now the action <code>{made.ref}</code>.
          </span>
        )}
      </div>
      {attempt.data && <Attempted key={attempt.data.id} id={attempt.data.id} />}
    </div>
  );
}

function Attempted({ id }: { id: string }) {
  const { data } = useExecution(id);
  return (
    <LogView
      executionId={id}
      attempt={1}
      attempts={1}
      running={!data || !isFinal(data.status)}
      ending={data && isFinal(data.status) ? (data.error ?? `exited with code ${data.exit_code ?? 0}`) : undefined}
    />
  );
}
