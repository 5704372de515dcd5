import { useQuery } from "@tanstack/react-query";
import { Glyph } from "../../kit/glyph";
import { JsonView } from "../../kit/json";
import { Page } from "../../kit/page";
import { Banner, Loaded } from "../../kit/states";
import { duration } from "../../lib/time";
import { type Health, health } from "./api";
import { partsOf } from "./model";
import { SettingsTabs } from "./SettingsTabs";

export default function SystemPage() {
  const query = useQuery(health());
  return (
    <Page title="System">
      <SettingsTabs here="/settings/system" />
      <Loaded query={query}>{(found) => <Parts health={found} />}</Loaded>
    </Page>
  );
}

function Parts({ health: found }: { health: Health }) {
  const tone = found.status === "ok" ? "ok" : found.status === "degraded" ? "late" : "bad";
  return (
    <>
      <Banner tone={tone} glyph={tone === "ok" ? "done" : "attention"}>
        {found.status === "ok"
          ? "Everything works."
          : `Attune is ${found.status}${found.reason ? `: ${found.reason}` : "."}`}
        {found.uptime_seconds != null && (
          <span className="soft"> Running for {duration(found.uptime_seconds * 1000)}.</span>
        )}
      </Banner>
      <div className="two">
        {partsOf(found).map((part) => (
          <details key={part.name} className="card more" open={part.status !== "ok"}>
            <summary>
              <span className="row" style={{ display: "inline-flex" }}>
                <Glyph name={part.status === "ok" ? "done" : "attention"} tone={part.status === "ok" ? "ok" : "late"} />
                {part.name} <span className="soft">{part.status}</span>
              </span>
            </summary>
            <div className="col">
              <JsonView value={part.detail} name={part.name} />
            </div>
          </details>
        ))}
      </div>
    </>
  );
}
