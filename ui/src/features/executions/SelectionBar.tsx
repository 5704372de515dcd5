import { useState } from "react";
import { Button } from "../../kit/button";
import { copyText } from "../../kit/copy";
import { ConfirmDanger } from "../../kit/dialog";
import { toast } from "../../kit/toast";
import { useKeys } from "../../lib/keys";
import type { ExecutionSummary } from "../../lib/schema";
import { useMay } from "../../lib/session";
import { cancelExecution, rerunExecution, useBatch } from "./api";
import { isFinal } from "./model";

interface Props {
  rows: ExecutionSummary[];
  selected: ReadonlySet<string>;
  clear: () => void;
}

export function SelectionBar({ rows, selected, clear }: Props) {
  const { why } = useMay("operator");
  const [confirming, setConfirming] = useState(false);
  const cancel = useBatch(cancelExecution);
  const rerun = useBatch(rerunExecution);
  const chosen = rows.filter((row) => selected.has(row.id));
  const open = chosen.filter((row) => !isFinal(row.status)).map((row) => row.id);
  const ended = chosen.filter((row) => isFinal(row.status)).map((row) => row.id);
  useKeys("Selection", [{ keys: "Escape", text: "Clear the selection", run: clear }]);

  const report = (verb: string) => (result: { done: number; refused: { why: string }[] }) => {
    const refused = result.refused.length > 0 ? ` ${result.refused.length} refused: ${result.refused[0]?.why}` : "";
    toast(`${result.done} ${verb}.${refused}`, { tone: refused ? "bad" : "ok" });
    clear();
  };
  return (
    <div className="selection-bar" role="toolbar" aria-label="Selected executions">
      <strong className="num">{selected.size} selected</strong>
      <Button
        small
        why={why}
        pending={rerun.isPending}
        disabled={ended.length === 0}
        onClick={() => rerun.mutate(ended, { onSuccess: report("started again") })}
      >
        Run again {ended.length > 0 && ended.length}
      </Button>
      <Button small look="danger" why={why} disabled={open.length === 0} onClick={() => setConfirming(true)}>
        Cancel {open.length > 0 && open.length}
      </Button>
      <Button small onClick={() => copyText([...selected].join("\n"), "The ids")}>
        Copy ids
      </Button>
      <Button small look="plain" onClick={clear}>
        Clear
      </Button>
      <ConfirmDanger
        open={confirming}
        onClose={() => setConfirming(false)}
        title={`Cancel ${open.length} executions?`}
        verb={`Cancel ${open.length}`}
        pending={cancel.isPending}
        type={open.length > 20 ? String(open.length) : undefined}
        onConfirm={() =>
          cancel.mutate(open, {
            onSuccess: (result) => {
              setConfirming(false);
              report("are being canceled")(result);
            },
          })
        }
      >
        Running actions are stopped. What they have done already stays done.
      </ConfirmDanger>
    </div>
  );
}
