/**
 * A queen without a process of her own, for tests: every real part of her, in front of a stand-in for the hive.
 *
 * @module
 */
import { homeId } from "../../runtime/auth.ts";
import { publishRunning } from "../../runtime/running.ts";
import { type Endpoint, serve, type Server } from "../../runtime/serve.ts";
import { VERSION } from "../../runtime/version.ts";
import { Attach } from "../attach.ts";
import { Effects } from "../effects.ts";
import { HiveNews } from "../hive_news.ts";
import { LocalHive } from "../local_hive.ts";
import { type NodeRegistry, openRegistry } from "../nodes.ts";
import { Roster } from "../roster.ts";
import { Scheduler } from "../scheduler.ts";
import type { SchedulerEvent } from "../scheduler_messages.ts";
import { queenEndpoints } from "../server.ts";
import { Tasks } from "../tasks.ts";
import { noLog, type StandInHive } from "./stand_in.ts";

/** The queen. Close her with `await using`. */
export class BenchQueen implements AsyncDisposable {
  readonly token = "b".repeat(64);
  readonly server: Server;
  readonly scheduler: Scheduler;
  readonly effects: Effects;
  readonly hives: Roster;
  readonly news = new HiveNews();
  readonly events: SchedulerEvent[] = [];
  readonly #registry: NodeRegistry;
  readonly #folder: string;
  readonly #attach = new Attach();

  private constructor(
    folder: string,
    registry: NodeRegistry,
    hive: StandInHive,
    options: { mode?: "ephemeral" | "persistent"; waitMs?: number },
  ) {
    this.#folder = folder;
    this.#registry = registry;
    this.scheduler = new Scheduler({ nodes: ["local"], loadMs: 5_000, spawnMs: 5_000, random: () => 0 });
    const onEvent = (event: SchedulerEvent) => {
      this.events.push(event);
      this.effects.dispatch(event);
      this.news.take(event);
    };
    const defaults = { model: "builtin:tiny", aliases: {}, waitMs: options.waitMs ?? 7_000 };
    const tasks = new Tasks(defaults, (task) => onEvent({ type: "taskCancelled", task, gently: false }));
    const holder = { id: "queen-1", hostname: "here" };
    const hives = new Roster({ home: folder, holder, log: noLog, onEvent, connectMs: 1_000 });
    this.hives = hives;
    hives.addLocal(
      new LocalHive({
        ...{ home: folder, hiveFile: `${folder}/hive.json`, token: hive.token, handOverToken: false, certFile: "" },
        ...{ portFallback: true, holder, log: noLog },
        isHive: () => true, // the stand-in lives in the test's own process
      }),
    );
    this.effects = new Effects({ scheduler: this.scheduler, tasks, hives, log: noLog, spawnMs: 4_000 });
    const endpoints: Endpoint[] = queenEndpoints({
      mode: options.mode ?? "persistent",
      homeId: homeId(this.token),
      scheduler: this.scheduler,
      effects: this.effects,
      tasks,
      attach: this.#attach,
      registry,
      hives,
      news: this.news,
      shutDown: () => {},
      log: noLog,
      drainMs: 100,
    });
    const auth = { token: this.token, openNeedsToken: false };
    this.server = serve({ program: "queen-rbee", endpoints, auth, log: noLog, hostname: "127.0.0.1", port: 0 });
    this.effects.dispatch({ type: "hiveWanted", node: "local" });
  }

  /** Returns a queen that finds this hive running. */
  static async start(
    hive: StandInHive,
    options: { mode?: "ephemeral" | "persistent"; waitMs?: number } = {},
  ): Promise<BenchQueen> {
    const folder = await Deno.makeTempDir({ prefix: "rbee-queen-" });
    const running = { pid: Deno.pid, url: hive.server.url, version: VERSION, started_unix: 0 };
    publishRunning(`${folder}/hive.json`, running);
    const registry = await openRegistry(`${folder}/beehives.db`);
    registry.ensureLocal({ platform: "linux-x64", installPath: folder });
    return new BenchQueen(folder, registry, hive, options);
  }

  /** Sends a task. Returns the answer as it comes. */
  submit(body: unknown, signal?: AbortSignal): Promise<Response> {
    return this.post("/v2/tasks", body, { signal });
  }

  /** Posts JSON; with the token when `token` is true. */
  post(path: string, body: unknown, more: { signal?: AbortSignal; token?: boolean } = {}): Promise<Response> {
    const headers = {
      "content-type": "application/json",
      ...(more.token && { authorization: `Bearer ${this.token}` }),
    };
    return fetch(this.server.url + path, { method: "POST", headers, body: JSON.stringify(body), signal: more.signal });
  }

  /** Gets a path without a token. */
  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.server.url + path, { headers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hives.endAll();
    await this.server.stop(10);
    this.effects.stop();
    this.#attach[Symbol.dispose]();
    this.#registry[Symbol.dispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
