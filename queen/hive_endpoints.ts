/**
 * The endpoints with which a person starts and stops hives, reads their logs, and watches what the queen does.
 *
 * @module
 */
import { rbeeDialect } from "../protocol/dialects/rbee.ts";
import { RbeeError, toErrorBody, toRbeeError } from "../protocol/error.ts";
import { type HiveChange, queenRoutes } from "../protocol/queen_routes.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import { type Context, type Endpoint, endpoint } from "../runtime/serve.ts";
import { tellWaitForEnd } from "../runtime/waiting.ts";
import type { Effects } from "./effects.ts";
import type { StopResult } from "./hive_access.ts";
import type { HiveControl } from "./hive_control.ts";
import { endNarration, type HiveNews } from "./hive_news.ts";
import { openNodeLog } from "./node_log.ts";
import { hiveUp } from "./hive_up.ts";
import type { Roster } from "./roster.ts";
import type { Scheduler } from "./scheduler.ts";

/** What the handlers reach. */
export interface HiveEndpointParts {
  readonly scheduler: Scheduler;
  readonly effects: Effects;
  readonly hives: Roster;
  readonly news: HiveNews;
  /** Throws `PERSISTENT_QUEEN_NEEDED` when the queen ends with a command. */
  readonly refuseIfEphemeral: (what: string) => void;
}

/** Returns the endpoints. */
export function hiveEndpoints(parts: HiveEndpointParts): Endpoint[] {
  return [
    endpoint(queenRoutes.startHive, ({ body: { node }, context }) => {
      const control = controlOf(node, parts);
      if (!control.facts) parts.refuseIfEphemeral(`keep a hive on ${node}`);
      return changing(node, context, parts, () => start(node, control, parts));
    }),
    endpoint(queenRoutes.stopHive, ({ body: { node }, context }) => {
      const control = controlOf(node, parts);
      return changing(node, context, parts, async () => ({ node, result: await stop(node, control, parts) }));
    }),
    endpoint(queenRoutes.restartHive, ({ body: { node }, context }) => {
      const control = controlOf(node, parts);
      parts.refuseIfEphemeral(`keep a hive on ${node}`);
      return changing(node, context, parts, async () => {
        const before = await stop(node, control, parts);
        const now = await start(node, control, parts);
        return before === "none" ? now : { ...now, result: "restarted" };
      });
    }),
    endpoint(queenRoutes.logs, ({ query, context }) => {
      controlOf(query.node, parts);
      return log(query, context, parts);
    }),
    endpoint(queenRoutes.narration, ({ context }) => context.stream((out) => parts.news.follow(out))),
  ];
}

/** Returns the way to a node's hive. Throws `NODE_NOT_FOUND`. */
function controlOf(node: string, { hives }: HiveEndpointParts): HiveControl {
  const control = hives.get(node);
  if (control) return control;
  const message = `Cannot find node '${node}' in the rbee-hive registry`;
  throw new RbeeError("NODE_NOT_FOUND", { message, details: { node, nodes: hives.names() } });
}

/** Returns the stream of a change: what is told about the node meanwhile, then the outcome. The change outlives its reader. */
function changing(
  node: string,
  context: Context,
  { news }: HiveEndpointParts,
  change: () => Promise<HiveChange>,
): Response {
  return context.stream(async (out) => {
    const write = (text: string) => out.write(text).catch(() => {}); // it left: what it asked for goes on
    using _listening = news.listen((one) => {
      if (one.kind === "told" && one.node === node) void write(encodeJsonEvent(one.narration, "narration"));
    });
    try {
      const outcome = await orEnd(change(), context.stopping);
      await write(encodeJsonEvent(outcome) + doneText);
    } catch (thrown) {
      await write(rbeeDialect.error(toErrorBody(toRbeeError(thrown), context.correlationId)));
    }
  });
}

/** Returns the outcome. Throws `SHUTTING_DOWN` when the queen ends first. */
async function orEnd<T>(change: Promise<T>, stopping: AbortSignal): Promise<T> {
  const end = Promise.withResolvers<never>();
  const stop = () => end.reject(new RbeeError("SHUTTING_DOWN"));
  if (stopping.aborted) stop();
  stopping.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([change, end.promise]);
  } finally {
    stopping.removeEventListener("abort", stop);
  }
}

/** Ends a hive; whoever watches is told when that takes a while. */
async function stop(node: string, control: HiveControl, { news }: HiveEndpointParts): Promise<StopResult> {
  using _telling = tellWaitForEnd((human) => news.tell(node, endNarration(node, human)), node);
  return await control.stopHive();
}

/** Asks the scheduler for a hive and waits for what comes of it. */
async function start(node: string, control: HiveControl, parts: HiveEndpointParts): Promise<HiveChange> {
  if (control.facts) return changeOf(node, control, "running");
  await hiveUp(node, parts);
  return changeOf(node, control, parts.hives.get(node)?.facts?.wasRunning ? "found" : "started");
}

function changeOf(node: string, { facts }: HiveControl, result: HiveChange["result"]): HiveChange {
  if (!facts) return { node, result }; // it went in the same moment
  const { version, port, pid, leased } = facts;
  return { node, result, hive_version: version, hive_port: port, hive_pid: pid, leased };
}

async function log(
  query: { node: string; worker?: string; lines: number; follow: boolean },
  context: Context,
  parts: HiveEndpointParts,
): Promise<Response> {
  const cut = new AbortController();
  const signal = AbortSignal.any([cut.signal, context.stopping]);
  const left = () => cut.abort(new RbeeError("REQUEST_CANCELED"));
  context.signal.addEventListener("abort", left, { once: true });
  const source = await openNodeLog(parts, query, signal);
  return context.stream(async (out) => {
    out.signal.addEventListener("abort", left, { once: true });
    try {
      for await (const piece of source) await out.write(piece);
    } catch (error) {
      if (!context.stopping.aborted) throw error; // else it ends with us, as it should
    } finally {
      left();
    }
  }, {
    contentType: "text/plain; charset=utf-8",
    // Deno's server would compress it, on the way to a program of the same machine.
    headers: { "cache-control": "no-store, no-transform" },
    keepAlive: false,
  });
}
