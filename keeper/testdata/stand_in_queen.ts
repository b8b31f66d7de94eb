/**
 * A queen for tests of the keeper: the real HTTP server and the real routes, with scripted answers.
 *
 * @module
 */
import { encodeJsonEvent } from "../../protocol/sse.ts";
import { rbeeDialect } from "../../protocol/dialects/rbee.ts";
import type { InferenceEnd } from "../../protocol/inference.ts";
import { type NodeState, queenRoutes } from "../../protocol/queen_routes.ts";
import type { AnswerOf, BodyOf } from "../../protocol/routes.ts";
import { homeId, loadOrCreateToken } from "../../runtime/auth.ts";
import type { StreamWriter } from "../../runtime/event_stream.ts";
import type { Log } from "../../runtime/log.ts";
import { publishRunning } from "../../runtime/running.ts";
import { type Context, endpoint, serve, type Server } from "../../runtime/serve.ts";
import { VERSION } from "../../runtime/version.ts";

/** What she does with a task. */
export type Script = (out: StreamWriter, task: BodyOf<typeof queenRoutes.submitTask>) => Promise<void>;

type Workers = AnswerOf<typeof queenRoutes.listWorkers>["workers"];

/** How she behaves; everything has a quiet default. */
export interface StandIn {
  mode?: "ephemeral" | "persistent";
  version?: string;
  openNeedsToken?: boolean;
  onTask?: Script;
  onStartWorker?: (out: StreamWriter) => Promise<void>;
  /** What `setup install` and `setup uninstall` are answered with. */
  onInstall?: (out: StreamWriter, node: string) => Promise<void>;
  beehives?: AnswerOf<typeof queenRoutes.listBeehives>["nodes"];
  workers?: Workers;
  /** How it stands with the hives. */
  states?: NodeState[];
  nodes?: AnswerOf<typeof queenRoutes.nodes>["nodes"];
  onHive?: (out: StreamWriter) => Promise<void>;
  models?: AnswerOf<typeof queenRoutes.models>["models"];
  /** What `models pull`, `verify` and `import` are answered with. */
  onModel?: (out: StreamWriter, wish: Record<string, unknown>) => Promise<void>;
  onLogs?: (out: StreamWriter) => Promise<void>;
}

/** The id that she gives to every task. */
export const taskId = "task-abc123";

/** Returns the terminal event of a generation. */
export function endOf(tokens: number, more: Partial<InferenceEnd> = {}): InferenceEnd {
  return {
    ...{ done: true, total_tokens: tokens, prompt_tokens: 3, prompt_tokens_cached: 0, duration_ms: 20, prefill_ms: 5 },
    ...{ decode_ms: 15, tokens_per_second: 66.7, stop_reason: "MAX_TOKENS", seed: 7 },
    ...more,
  };
}

/** Returns a script that says those tokens and ends well. */
export function says(...tokens: string[]): Script {
  return async (out) => {
    for (const [index, token] of tokens.entries()) await out.write(rbeeDialect.token(token, index));
    await out.write(rbeeDialect.end(endOf(tokens.length)));
  };
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };

/** One such queen, in a RBEE_HOME of her own. */
export class StandInQueen implements AsyncDisposable {
  readonly home: string = Deno.makeTempDirSync({ prefix: "rbee-keeper-" });
  readonly tasks: BodyOf<typeof queenRoutes.submitTask>[] = [];
  readonly canceled: string[] = [];
  readonly stopped: string[] = [];
  /** Bodies of `setup install` and `setup uninstall`. */
  readonly installs: unknown[] = [];
  readonly logs: unknown[] = [];
  /** Bodies of what is asked about models. */
  readonly modelWishes: unknown[] = [];
  readonly server: Server;
  /** How many tasks' streams were closed by the keeper. */
  left = 0;
  attached = 0;
  #published: Disposable;

  constructor(readonly behaviour: StandIn = {}) {
    const token = loadOrCreateToken(`${this.home}/queen.token`);
    this.server = serve({
      program: "queen-rbee",
      endpoints: this.#endpoints(token),
      auth: { token, openNeedsToken: behaviour.openNeedsToken ?? false },
      log: silent,
      hostname: "127.0.0.1",
      port: 0,
    });
    const { mode = "persistent", version = VERSION } = behaviour;
    const running = { pid: Deno.pid, url: this.server.url, version, mode, started_unix: 1 };
    this.#published = publishRunning(`${this.home}/queen.json`, running);
  }

  #endpoints(token: string) {
    const { mode = "persistent", version = VERSION, workers = [], nodes = [], states = [] } = this.behaviour;
    return [
      endpoint(queenRoutes.info, () => ({
        ...{ version, commit: "test", platform: "linux-x64", pid: Deno.pid, mode, attached: this.attached },
        ...{ uptime_s: 90, home_id: homeId(token), hives: [] },
      })),
      endpoint(queenRoutes.attach, ({ context }) => this.#attach(context)),
      endpoint(queenRoutes.submitTask, ({ body, context }) => this.#task(body, context)),
      endpoint(queenRoutes.cancelTask, ({ params }) => void this.canceled.push(params.id)),
      endpoint(queenRoutes.nodes, () => ({ nodes })),
      endpoint(queenRoutes.listWorkers, () => ({ workers, nodes: states })),
      endpoint(queenRoutes.workersHealth, () => ({
        nodes: states,
        status: workers.some((w) => w.state === "unhealthy") ? "error" as const : "ok" as const,
        workers: workers.map(({ worker_id, node, state, failed_health_checks }) => ({
          ...{ worker_id, node, state, failed_health_checks, ready: state === "idle" },
        })),
      })),
      endpoint(
        queenRoutes.startHive,
        ({ context }) => context.stream((out) => this.behaviour.onHive?.(out) ?? Promise.resolve()),
      ),
      endpoint(queenRoutes.logs, ({ query, context }) => {
        this.logs.push(query);
        return context.stream((out) => this.behaviour.onLogs?.(out) ?? Promise.resolve(), { keepAlive: false });
      }),
      endpoint(
        queenRoutes.startWorker,
        ({ context }) => context.stream((out) => this.behaviour.onStartWorker?.(out) ?? Promise.resolve()),
      ),
      endpoint(queenRoutes.models, () => ({ models: this.behaviour.models ?? [], nodes: states })),
      endpoint(queenRoutes.pullModel, ({ body, context }) => this.#model(body, context)),
      endpoint(queenRoutes.verifyModel, ({ body, context }) => this.#model(body, context)),
      endpoint(queenRoutes.importModels, ({ body, context }) => this.#model(body, context)),
      endpoint(queenRoutes.removeModel, ({ body }) => {
        this.modelWishes.push(body);
        const kept = ["/data/mine.gguf"];
        return { node: body.node ?? "local", model_ref: body.model, removed_bytes: 3 * 1024 ** 2, kept };
      }),
      endpoint(queenRoutes.listBeehives, () => ({ nodes: this.behaviour.beehives ?? [] })),
      endpoint(queenRoutes.installBeehive, ({ body, context }) => this.#install(body, context)),
      endpoint(queenRoutes.uninstallBeehive, ({ body, context }) => this.#install(body, context)),
      endpoint(queenRoutes.shutdownWorker, ({ body }) => {
        this.stopped.push(body.worker_id);
        return { success: true as const, message: "sent" };
      }),
    ];
  }

  #attach(context: Context): Response {
    this.attached++;
    return context.stream(async (out) => {
      await out.write(": attached\n\n");
      await new Promise((resolve) => out.signal.addEventListener("abort", resolve));
      this.attached--;
    });
  }

  #install(body: { node_name: string }, context: Context): Response {
    this.installs.push(body);
    return context.stream((out) => this.behaviour.onInstall?.(out, body.node_name) ?? Promise.resolve());
  }

  #model(body: Record<string, unknown>, context: Context): Response {
    this.modelWishes.push(body);
    return context.stream((out) => this.behaviour.onModel?.(out, body) ?? Promise.resolve());
  }

  #task(body: BodyOf<typeof queenRoutes.submitTask>, context: Context): Response {
    this.tasks.push(body);
    return context.stream(async (out) => {
      out.signal.addEventListener("abort", () => this.left++);
      await out.write(encodeJsonEvent({ task_id: taskId, model: "builtin:tiny" }, "started"));
      await (this.behaviour.onTask ?? says("Once", " upon", " a time"))(out, body);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#published[Symbol.dispose]();
    await this.server.stop(0);
    Deno.removeSync(this.home, { recursive: true });
  }
}
