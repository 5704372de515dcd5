import { EventSourceParserStream } from "eventsource-parser/stream";
import { urlOf } from "../http/client";
import { problemOf } from "../http/problem";
import type { Frame } from "./frame";

export type Ended = "stopping" | "unauthorized" | "refused" | "limited" | "broken" | "aborted";

export interface StreamEvents {
  onOpen: () => void;
  onFrame: (frame: Frame) => void;
  /** Messages were missed: fetch again what is on screen. */
  onGap: () => void;
}

/** The server sends a comment every 4 s (16 s at most): silence for longer than this means a dead connection. */
const silence = 20_000;

/** One connection, until it ends. Remembers the last id for the next one. */
export class Stream {
  private lastId: string | undefined;

  async run(events: StreamEvents, stop: AbortSignal): Promise<Ended> {
    const abort = new AbortController();
    const onStop = () => abort.abort();
    stop.addEventListener("abort", onStop);
    let watchdog = setTimeout(() => abort.abort(), silence);
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), silence);
    };
    try {
      const headers: Record<string, string> = {
        accept: "text/event-stream",
        "x-attune": "1",
        "x-attune-background": "1",
      };
      if (this.lastId) headers["last-event-id"] = this.lastId;
      const response = await fetch(urlOf("/api/v1/stream"), {
        headers,
        credentials: "same-origin",
        signal: abort.signal,
      });
      if (!response.ok || !response.body) {
        const failed = await problemOf(response);
        if (response.status === 401) return "unauthorized";
        if (failed.kind === "too_many_streams") return "limited";
        return response.status >= 500 ? "broken" : "refused";
      }
      events.onOpen();
      return await this.read(response.body, events, alive);
    } catch {
      return stop.aborted ? "aborted" : "broken";
    } finally {
      clearTimeout(watchdog);
      stop.removeEventListener("abort", onStop);
      abort.abort();
    }
  }

  private async read(body: ReadableStream<Uint8Array>, events: StreamEvents, alive: () => void): Promise<Ended> {
    const messages = body
      .pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, out) {
            alive();
            out.enqueue(chunk);
          },
        }),
      )
      .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
      .pipeThrough(new EventSourceParserStream());
    const reader = messages.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return "broken";
      if (value.id) this.lastId = value.id;
      const data = parse(value.data);
      if (value.event === "missed" || value.event === "resumed") {
        if (value.event === "missed") this.lastId = undefined;
        events.onGap();
      } else if (value.event === "end") {
        return data.reason === "unauthorized" ? "unauthorized" : "stopping";
      } else if (typeof data.kind === "string") {
        events.onFrame(data as Frame);
      }
    }
  }
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
