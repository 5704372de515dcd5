import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "../../kit/button";
import { copyText } from "../../kit/copy";
import { Dialog } from "../../kit/dialog";
import { Field } from "../../kit/form";
import { Banner, ProblemView } from "../../kit/states";
import { Time } from "../../kit/time";
import { duration } from "../../lib/time";
import { useOpen } from "../definitions/actions";
import { useRefresh } from "../definitions/api";
import { rotateKey, rotateSecret } from "./api";
import type { WebhookTrigger } from "./model";

/** Rotation of the secret and of the address. What is new is shown once. */
export function Secrets({ trigger }: { trigger: WebhookTrigger }) {
  const config = trigger.config as { verify: string; secret_previous_expires_at?: string | null };
  return (
    <div className="col loose" style={{ paddingTop: 12 }}>
      {config.secret_previous_expires_at != null && (
        <Banner tone="quiet" glyph="dot">
          Two secrets are valid. The previous one is valid until{" "}
          <Time at={config.secret_previous_expires_at} show="both" />.
        </Banner>
      )}
      {config.verify === "none" ? (
        <p className="soft">This webhook is not verified, so it has no secret.</p>
      ) : (
        <Rotate
          title="Secret"
          text="A new secret is created and shown once. The previous one stays valid for a while, so that the sender can switch without a gap."
          verb="Rotate the secret"
          run={async (overlap) => {
            const { secret, previous_expires_at } = await rotateSecret(trigger.ref, overlap);
            return { shown: secret, until: previous_expires_at };
          }}
        />
      )}
      <Rotate
        title="Address"
        text="A new address is created. The previous one stays valid for a while."
        verb="Rotate the address"
        run={async (overlap) => {
          const { webhook_url, previous_expires_at } = await rotateKey(trigger.ref, overlap);
          return { shown: webhook_url, until: previous_expires_at };
        }}
      />
    </div>
  );
}

interface RotateProps {
  title: string;
  text: string;
  verb: string;
  run: (overlap: number) => Promise<{ shown: string | null; until: string }>;
}

const OVERLAPS = [0, 3_600, 21_600, 86_400, 259_200, 604_800];

function Rotate({ title, text, verb, run }: RotateProps) {
  const [overlap, setOverlap] = useState(3);
  const [stored, setStored] = useState(false);
  const dialog = useOpen();
  const refresh = useRefresh();
  const seconds = OVERLAPS[overlap] ?? 86_400;
  // Not kept in a cache: what it returns is a secret.
  const rotation = useMutation({ mutationFn: () => run(seconds), onSuccess: () => refresh("triggers"), gcTime: 0 });
  const close = () => {
    dialog.hide();
    rotation.reset();
    setStored(false);
  };
  const result = rotation.data;
  return (
    <section className="card pad col">
      <h2>{title}</h2>
      <p className="soft">{text}</p>
      <span>
        <Button onClick={dialog.show}>{verb} …</Button>
      </span>
      <Dialog open={dialog.open} onClose={close} title={verb} sticky={result !== undefined}>
        {result === undefined ? (
          <>
            <Field
              label="The previous one stays valid for"
              hint={
                seconds === 0
                  ? "It becomes invalid immediately. Requests that still use it are rejected."
                  : duration(seconds * 1000)
              }
            >
              {(props) => (
                <input
                  {...props}
                  type="range"
                  min={0}
                  max={OVERLAPS.length - 1}
                  value={overlap}
                  onChange={(event) => setOverlap(Number(event.target.value))}
                />
              )}
            </Field>
            {rotation.error && <ProblemView error={rotation.error} />}
            <div className="dialog-foot">
              <Button onClick={close}>Cancel</Button>
              <Button
                look={seconds === 0 ? "danger" : "primary"}
                pending={rotation.isPending}
                onClick={() => rotation.mutate()}
              >
                {verb}
              </Button>
            </div>
          </>
        ) : (
          <>
            <p>Give this to the sender now. It is not shown again.</p>
            <p className="secret mono">{result.shown}</p>
            <span>
              <Button onClick={() => copyText(result.shown ?? "", title)}>Copy</Button>
            </span>
            <p className="soft">
              The previous one is valid until <Time at={result.until} show="both" />.
            </p>
            <label className="row">
              <input type="checkbox" checked={stored} onChange={(event) => setStored(event.target.checked)} /> I have
              stored it
            </label>
            <div className="dialog-foot">
              <Button look="primary" disabled={!stored} onClick={close}>
                Close
              </Button>
            </div>
          </>
        )}
      </Dialog>
    </section>
  );
}
