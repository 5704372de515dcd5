import { useNavigate } from "@tanstack/react-router";
import { toast } from "../../kit/toast";
import { asProblem } from "../../lib/http/problem";
import { useFire } from "../triggers/api";

/** Fires a trigger by hand and opens the trace of what follows. */
export function useFireNow() {
  const fire = useFire();
  const navigate = useNavigate();
  return (ref: string, payload?: unknown) =>
    fire.mutate(
      { ref, payload },
      {
        onSuccess: (event) => void navigate({ to: `/t/${event.trace_id}` }),
        onError: (error) => toast(`${ref} did not fire: ${asProblem(error).problem.detail}`, { tone: "bad" }),
      },
    );
}
