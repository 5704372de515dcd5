import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export interface Server {
  url: string;
  password: string;
  /** The sign-in link that it printed. */
  link: string | undefined;
  /** A request with a bearer token; fails on a status that is not a success. */
  api: <T = unknown>(method: string, path: string, body?: unknown) => Promise<T>;
  kill: () => Promise<void>;
  restart: () => Promise<void>;
  stop: () => Promise<void>;
}

const program = process.env.ATTUNE_BIN ?? resolve(import.meta.dirname, "../../target/debug/attune");

/** Starts `attune up` with fresh data. */
export async function startServer(): Promise<Server> {
  if (!existsSync(program)) throw new Error(`there is no ${program}: build it, or set ATTUNE_BIN`);
  const data = mkdtempSync(join(tmpdir(), "attune-ui-"));
  let child: ChildProcess | undefined;
  let listen = "127.0.0.1:0";
  let token = "";
  const server: Server = {
    url: "",
    password: "",
    link: undefined,
    api: async <T>(method: string, path: string, body?: unknown) => {
      const response = await fetch(`${server.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: body === undefined ? null : JSON.stringify(body),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return (text ? JSON.parse(text).data : undefined) as T;
    },
    kill: () => end(child, "SIGKILL"),
    restart: async () => {
      await start();
    },
    stop: async () => {
      await end(child, "SIGTERM");
      rmSync(data, { recursive: true, force: true });
    },
  };

  const start = async () => {
    child = spawn(program, ["up", "--data-dir", data, "--listen", listen], { stdio: ["ignore", "pipe", "pipe"] });
    const printed = await output(child, /sign in .*\n/);
    server.url = /API\s+(http:\S+)/.exec(printed)?.[1] ?? "";
    server.link = /(http\S+#k=\S+)/.exec(printed)?.[1];
    listen = new URL(server.url).host;
    server.password = readFileSync(join(data, "admin-password"), "utf8").trim();
    const response = await fetch(`${server.url}/auth/login`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ login: "admin", password: server.password }),
    });
    token = (await response.json()).data.access_token;
  };
  await start();
  return server;
}

function output(child: ChildProcess, until: RegExp): Promise<string> {
  return new Promise((done, fail) => {
    let text = "";
    const add = (chunk: Buffer) => {
      text += chunk.toString();
      if (until.test(text)) done(text);
    };
    child.stdout?.on("data", add);
    child.stderr?.on("data", add);
    child.on("exit", (code) => fail(new Error(`attune up ended with ${code}:\n${text}`)));
  });
}

function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((done) => {
    child.on("exit", () => done());
    child.kill(signal);
  });
}

/** Definitions that show every verdict: matched, failed twice, throttled, not matched, undecidable, disabled, no worker. */
export async function seed({ api }: Server) {
  await api("POST", "/api/v1/packs", { ref: "acme", label: "Acme" });
  await api("POST", "/api/v1/triggers", { ref: "acme.order", pack_ref: "acme", kind: "custom", label: "Order" });
  const action = (ref: string, entry_point: string, more: object = {}) =>
    api("POST", "/api/v1/actions", {
      ref,
      pack_ref: "acme",
      entry_kind: "text",
      runtime_ref: "core.shell",
      entry_point,
      ...more,
    });
  const schema = { type: "object", properties: { code: { type: "integer", default: 0 } } };
  const script =
    "for i in 1 2 3; do printf '\\033[32mline\\033[0m %s\\n' $i; sleep 0.3; done; echo warn >&2; exit ${code:-0}";
  await action("acme.slow", script, { parameters_schema: schema });
  await action("acme.render", "echo frame", { pool: "gpu" });
  const rule = (ref: string, more: object) =>
    api("POST", "/api/v1/rules", { ref, pack_ref: "acme", trigger_ref: "acme.order", ...more });
  await rule("acme.big", {
    action_ref: "core.echo",
    condition: { all: [{ path: "payload.total", operator: "greater_than", value: 100 }] },
  });
  await rule("acme.fails", {
    action_ref: "acme.slow",
    retry: { max_attempts: 2, backoff_seconds: 1 },
    action_params: { code: 3 },
  });
  await rule("acme.fast", { action_ref: "core.echo", action_params: { message: "order {{ event.payload.total }}" } });
  await rule("acme.limited", { action_ref: "core.echo", rate_limit: { limit: 1, window_seconds: 3600 } });
  await rule("acme.off", { action_ref: "core.echo", enabled: false });
  await rule("acme.vip", {
    action_ref: "core.echo",
    condition: { all: [{ path: "payload.vip", operator: "equals", value: true }] },
  });
}

export const order = ({ api }: Server, total: number) =>
  api<{ id: string; trace_id: string }>("POST", "/api/v1/events", {
    trigger_ref: "acme.order",
    payload: { total, country: "DE" },
  });

/** Waits until a request answers what is wanted. */
export async function eventually<T>(ask: () => Promise<T>, wanted: (value: T) => boolean, seconds = 30): Promise<T> {
  const until = Date.now() + seconds * 1_000;
  for (;;) {
    const value = await ask();
    if (wanted(value)) return value;
    if (Date.now() > until) throw new Error(`after ${seconds} s: ${JSON.stringify(value)}`);
    await new Promise((done) => setTimeout(done, 150));
  }
}
