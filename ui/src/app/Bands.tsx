import { useState } from "react";
import { Button } from "../kit/button";
import { Banner } from "../kit/states";
import { net } from "../lib/http/net";
import { queryClient } from "../lib/http/query";
import { useStore } from "../lib/store";
import { duration, elapsed, useNow } from "../lib/time";

/** What is not shown and since when, above the page. */
export function Bands() {
  const { unreachableSince, limited } = useStore(net);
  useNow(1);
  const [retrying, setRetrying] = useState(false);
  const waited = unreachableSince === undefined ? 0 : elapsed(unreachableSince);
  const retry = () => {
    setRetrying(true);
    void queryClient.invalidateQueries().finally(() => setRetrying(false));
  };
  if (waited < 2_000 && !limited) return null;
  return (
    <div className="bands">
      {waited >= 2_000 && (
        <Banner
          tone="late"
          action={
            <Button small pending={retrying} onClick={retry}>
              Retry now
            </Button>
          }
        >
          Attune has not answered for {duration(Math.floor(waited / 1000) * 1000).replace(/\.\d s/, " s")}. What you see
          is as old as that. Nothing is lost: the page continues when it is back.
        </Banner>
      )}
      {limited && (
        <Banner tone="late">Too many requests: Attune asks this browser to wait. It continues by itself.</Banner>
      )}
    </div>
  );
}
