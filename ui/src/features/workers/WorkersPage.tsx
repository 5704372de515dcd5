import { useQuery } from "@tanstack/react-query";
import { LinkButton } from "../../kit/button";
import { Glyph } from "../../kit/glyph";
import { Page } from "../../kit/page";
import { Banner, Empty, Loaded } from "../../kit/states";
import { Time } from "../../kit/time";
import { grouped } from "../../lib/numbers";
import { duration } from "../../lib/time";
import { services } from "./api";
import {
  factsOf,
  type Load,
  loadOf,
  loopsOf,
  type Pool,
  poolsOf,
  type Service,
  statusOf,
  unservedOf,
  versionsOf,
} from "./model";
import { Queue } from "./Queue";

export default function WorkersPage() {
  const query = useQuery(services());
  return (
    <Page title="Workers">
      <Loaded query={query}>{(all) => <Overview all={all} />}</Loaded>
      <Queue />
    </Page>
  );
}

function Overview({ all }: { all: Service[] }) {
  const versions = versionsOf(all);
  const pools = poolsOf(all);
  const load = loadOf(all);
  return (
    <>
      {unservedOf(all).map((text) => (
        <Banner
          key={text}
          tone="bad"
          action={
            <LinkButton small to="/executions?status=waiting,scheduled">
              Show
            </LinkButton>
          }
        >
          {text}. Start a worker for it, for example with ATTUNE__WORKER__POOL.
        </Banner>
      ))}
      {versions.length > 1 && <Banner tone="late">Services run different versions: {versions.join(", ")}.</Banner>}
      {load === undefined ? (
        <Banner tone="bad">No executor reports, so the length of the queue is not known.</Banner>
      ) : (
        <LoadFacts load={load} />
      )}
      <h2>Pools</h2>
      {pools.length === 0 ? (
        <Empty text="No worker has reported. Executions wait until one does." command="attune-worker" />
      ) : (
        <div className="two">
          {pools.map((pool) => (
            <PoolCard key={pool.name} pool={pool} />
          ))}
        </div>
      )}
      <h2>Services</h2>
      <ul className="card lines">
        {all.map((service) => (
          <ServiceRow key={service.id} service={service} />
        ))}
      </ul>
    </>
  );
}

function LoadFacts({ load }: { load: Load }) {
  const facts: [string, string, string?][] = [
    [
      "Events pending",
      grouped(load.pending),
      load.pending > 0 ? `oldest ${duration(load.oldestSeconds * 1000)}` : undefined,
    ],
    ["Quarantined", grouped(load.quarantined)],
    ["Executions running", grouped(load.running)],
    [
      "Ready",
      grouped(load.ready),
      load.ready > 0 ? `oldest ${duration(load.oldestExecutionSeconds * 1000)}` : undefined,
    ],
    ["Waiting for a limit", grouped(load.waiting)],
  ];
  return (
    <div className="stats">
      {facts.map(([name, value, more]) => (
        <div key={name} className="stat">
          <span className="meta">{name}</span>
          <span className="num">
            {value} {more && <span className="soft">{more}</span>}
          </span>
        </div>
      ))}
    </div>
  );
}

function PoolCard({ pool }: { pool: Pool }) {
  const share = pool.slots === 0 ? 0 : (pool.running / pool.slots) * 100;
  const alive = pool.workers.filter((worker) => worker.alive).length;
  return (
    <section className="card pad col">
      <span className="row">
        <h2 className="grow">{pool.name}</h2>
        <span className="soft">
          {alive} {alive === 1 ? "worker" : "workers"}
        </span>
      </span>
      <div className="bar" role="img" aria-label={`${pool.running} of ${pool.slots} slots in use`}>
        <div style={{ width: `${share}%` }} />
      </div>
      <span className="soft num">
        {pool.running} of {pool.slots} slots in use
        {pool.spool > 0 && `, ${pool.spool} results not delivered yet`}
      </span>
    </section>
  );
}

function ServiceRow({ service }: { service: Service }) {
  const status = statusOf(service);
  const ok = status === "ok";
  const bad = loopsOf(service).filter((loop) => loop.status !== "ok");
  return (
    <li className="col" style={{ gap: 2 }}>
      <span className="row wrap">
        <Glyph
          name={ok ? "done" : service.alive ? "attention" : "failed"}
          tone={ok ? "ok" : service.alive ? "late" : "bad"}
        />
        <strong>{service.kind}</strong>
        <span className={ok ? "soft" : "tone-late"}>{status}</span>
        <span className="mono soft">
          {service.host}, process {service.pid}, {service.version}
        </span>
        <span className="push meta">
          reported <Time at={service.heartbeat_at} show="relative" />, started{" "}
          <Time at={service.started_at} show="relative" />
        </span>
      </span>
      <span className="meta">{factsOf(service).join(" · ")}</span>
      {bad.map((loop) => (
        <span key={loop.name} className="tone-bad">
          {loop.name}: {loop.status}
          {loop.text && `, ${loop.text}`}
        </span>
      ))}
    </li>
  );
}
