import { useQuery } from "@tanstack/react-query";
import { Page } from "../../kit/page";
import { Loaded } from "../../kit/states";
import { urlOf } from "../../lib/http/client";
import { health } from "./api";
import { SettingsTabs } from "./SettingsTabs";

export default function AboutPage() {
  const query = useQuery(health());
  return (
    <Page title="About">
      <SettingsTabs here="/settings/about" />
      <Loaded query={query}>
        {(found) => (
          <section className="card pad">
            <dl className="facts">
              <dt>Version</dt>
              <dd>{found.version}</dd>
              <dt>Time zone data</dt>
              <dd>{found.timezone_data}</dd>
              <dt>Address</dt>
              <dd className="mono">{urlOf("/")}</dd>
              <dt>Documentation of the API</dt>
              <dd>
                <a href={urlOf("/api/docs")}>{urlOf("/api/docs")}</a>
              </dd>
              <dt>Licence</dt>
              <dd>Apache License 2.0</dd>
            </dl>
          </section>
        )}
      </Loaded>
    </Page>
  );
}
