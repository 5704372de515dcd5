import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button, LinkButton } from "../../kit/button";
import { ConfirmDanger } from "../../kit/dialog";
import { Ref } from "../../kit/ref";
import { Loaded } from "../../kit/states";
import { Time } from "../../kit/time";
import { toast } from "../../kit/toast";
import { asProblem } from "../../lib/http/problem";
import { useMay } from "../../lib/session";
import { type Quarantined, quarantined, useQueue } from "./api";

/** Events that could not be decided after several tries. */
export function Queue() {
  const query = useQuery(quarantined());
  const { replay, discard } = useQueue();
  const { why } = useMay("operator");
  const [doomed, setDoomed] = useState<Quarantined | undefined>();
  const failed = (error: unknown) => toast(asProblem(error).problem.detail, { tone: "bad" });
  return (
    <>
      <h2>Quarantined events</h2>
      <Loaded query={query}>
        {({ data, pagination }) => (
          <ul className="card lines">
            {data.length === 0 && (
              <li className="soft">
                None. An event is quarantined when its rules could not be evaluated after several tries.
              </li>
            )}
            {data.map((event) => (
              <li key={event.event_id} className="row wrap">
                <Ref name={event.trigger_ref} to={`/go/${event.trigger_ref}`} />
                <Time at={event.quarantined_at} show="both" />
                <span className="soft">tried {event.tries} times</span>
                <span className="grow tone-bad">{event.last_error}</span>
                <LinkButton small to={`/t/${event.event_id}`}>
                  Why?
                </LinkButton>
                <Button
                  small
                  why={why}
                  pending={replay.isPending && replay.variables === event.event_id}
                  onClick={() =>
                    replay.mutate(event.event_id, {
                      onError: failed,
                      onSuccess: () => toast("The event is tried again.", { tone: "ok" }),
                    })
                  }
                >
                  Retry
                </Button>
                <Button small look="danger" why={why} onClick={() => setDoomed(event)}>
                  Discard
                </Button>
              </li>
            ))}
            {pagination.next != null && <li className="meta">There are more.</li>}
          </ul>
        )}
      </Loaded>
      <ConfirmDanger
        open={doomed !== undefined}
        onClose={() => setDoomed(undefined)}
        title="Discard this event?"
        verb="Discard"
        pending={discard.isPending}
        onConfirm={() =>
          doomed && discard.mutate(doomed.event_id, { onError: failed, onSettled: () => setDoomed(undefined) })
        }
      >
        No rule will run for this event of {doomed?.trigger_ref}. This cannot be undone.
      </ConfirmDanger>
    </>
  );
}
