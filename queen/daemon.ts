/**
 * `queen-rbee daemon`: puts the queen together, lets her serve until she is told to end, and takes her apart in order.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { localNodeName } from "../protocol/node.ts";
import { homeId } from "../runtime/auth.ts";
import { sleep } from "../runtime/call.ts";
import { type Config, loadConfig } from "../runtime/config.ts";
import { environment } from "../runtime/environment.ts";
import { executableFolder } from "../runtime/executables.ts";
import { type Log, openLog } from "../runtime/log.ts";
import { join } from "../runtime/path.ts";
import { type Paths, paths as userPaths, prepareHome } from "../runtime/paths.ts";
import { type Program, runProgram } from "../runtime/program.ts";
import { publishRunning } from "../runtime/running.ts";
import { serve, type Server } from "../runtime/serve.ts";
import { PLATFORM, VERSION } from "../runtime/version.ts";
import { Attach } from "./attach.ts";
import type { DaemonFlags } from "./command_line.ts";
import { Effects } from "./effects.ts";
import { checkHiveRunnable } from "./hive_program.ts";
import type { HiveAccess } from "./hive_access.ts";
import { endNarration, HiveNews } from "./hive_news.ts";
import type { LeaseHolder } from "./hive_probe.ts";
import { LocalHive } from "./local_hive.ts";
import { type NodeRegistry, openRegistry } from "./nodes.ts";
import { RegistryNotes } from "./registry_notes.ts";
import { Roster } from "./roster.ts";
import { Scheduler } from "./scheduler.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";
import { queenEndpoints, type QueenParts } from "./server.ts";
import { Tasks } from "./tasks.ts";
import { hiveToken, queenToken } from "./tokens.ts";

/** Runs the queen until she is told to end, and leaves the process with her exit code; never returns. */
export async function runDaemon(flags: DaemonFlags, writeErr: (text: string) => void): Promise<never> {
  let log: Log | undefined;
  return await runProgram((program) => live(flags, program, (opened) => log = opened), {
    onError(error) {
      if (flags.detached) log?.error(error.message, { code: error.code, details: error.details });
      writeErr(`[queen-rbee] ❌ Error: ${error.message} (${error.code})\n\nSuggestion: ${error.hint}\n`);
      return error.code === "USAGE" ? 2 : 1;
    },
    onFault: (fault) => log?.error("a fault that nobody caught", { error: fault, stack: (fault as Error)?.stack }),
  });
}

/** What stands before anything runs. */
interface Ground {
  readonly flags: DaemonFlags;
  readonly program: Program;
  readonly paths: Paths;
  /** Real path of RBEE_HOME. */
  readonly home: string;
  readonly config: Readonly<Config>;
  readonly log: Log;
  readonly registry: NodeRegistry;
}

/** Returns the exit code. Throws what keeps the queen from starting. */
async function live(flags: DaemonFlags, program: Program, onLog: (log: Log) => void): Promise<number> {
  const configFile = flags.config && resolve(flags.config);
  const paths = userPaths((name) => name === "RBEE_CONFIG" && configFile ? configFile : environment(name));
  const home = prepareHome(paths);
  const { config } = loadConfig(paths, { queen: { port: flags.port, listen: flags.listen } });
  const log = openLog({
    program: "queen-rbee",
    level: config.log.level,
    file: `${paths.logs}/queen.log`,
    stderr: !flags.detached,
  });
  onLog(log);
  const token = queenToken(paths, config);
  if (config.queen.use_local) checkHiveRunnable();
  using registry = await openRegistryOf(paths, flags.ephemeral || flags.detached, program.signal);
  if (registry.movedAside) log.error("the registry was damaged and begins anew", { moved_to: registry.movedAside });
  registry.ensureLocal({ platform: PLATFORM, installPath: executableFolder() });
  const queen = assemble(
    { flags: { ...flags, config: configFile }, program, paths, home, config, log, registry },
    token,
  );
  const running = publishRunning(paths.queenFile, {
    pid: Deno.pid,
    url: queen.server.url,
    version: VERSION,
    mode: queen.parts.mode,
    started_unix: Math.floor(Date.now() / 1_000),
    moved_aside: registry.movedAside,
  });
  log.info("listening", { url: queen.server.url, version: VERSION, mode: queen.parts.mode });
  await aborted(program.signal);
  running[Symbol.dispose](); // nobody is to find a queen that ends
  await takeApart(queen, log, program.signal.reason);
  return 0;
}

/** A queen may be started while the one before her is still ending; who starts her by hand wants to know at once. */
async function openRegistryOf(paths: Paths, patient: boolean, signal: AbortSignal): Promise<NodeRegistry> {
  for (const until = performance.now() + limits.registryLockWaitMs;;) {
    try {
      return await openRegistry(paths.registryDb);
    } catch (error) {
      const locked = error instanceof RbeeError && error.code === "QUEEN_ALREADY_RUNNING";
      if (!locked || !patient || performance.now() > until) throw error;
      await sleep(limits.queenPollMs, signal);
    }
  }
}

/** The hive is started in another folder than we were. */
function resolve(path: string): string {
  return path.startsWith("/") ? path : join(Deno.cwd(), path);
}

interface Queen {
  readonly parts: QueenParts;
  readonly notes: RegistryNotes;
  readonly server: Server;
}

function assemble(ground: Ground, token: { value: string; isConfigured: boolean }): Queen {
  const { flags, program, config, log, registry } = ground;
  const local = config.queen.use_local ? [localNodeName] : [];
  const spawnMs = config.hive.ready_timeout_s * 1_000 + limits.callTimeoutMs;
  const loadMs = config.queen.load_timeout_s * 1_000;
  const scheduler = new Scheduler({
    nodes: local,
    loadMs,
    spawnMs: spawnMs + limits.callTimeoutMs,
    random: Math.random,
  });
  const defaults = { model: config.infer.model, aliases: config.models.aliases, waitMs: config.queen.wait_s * 1_000 };
  const tasks = new Tasks(defaults, (task) => dispatch({ type: "taskCancelled", task, gently: false }));
  const dispatch = (event: SchedulerEvent) => {
    effects.dispatch(event);
    notes.take(event);
    news.take(event);
  };
  const news = new HiveNews();
  const notes = new RegistryNotes({ registry, log, hiveUrl: (node) => hives.get(node)?.peer?.base });
  const holder = holderOf(ground, token.value);
  const { binary_path: binaryPath, connect_timeout_s } = config.remote;
  const connectMs = connect_timeout_s * 1_000;
  const hives: Roster = new Roster({ home: ground.home, holder, log, onEvent: dispatch, binaryPath, connectMs });
  const effects: Effects = new Effects({ scheduler, tasks, hives, log, spawnMs });
  // Before the first task: a hive takes longer to start than a client to arrive.
  if (local.length > 0) hives.addLocal(localHive(ground, holder));
  for (const row of [...registry.beehives(), ...registry.directNodes()]) hives.add(row);
  // One that ends with a command starts the hives that this command needs; one that stays has the pool ready.
  const wanted = flags.idle ? [] : flags.ephemeral ? local : hives.names();
  for (const node of wanted) dispatch({ type: "hiveWanted", node });
  program.defer(() => hives.endAll());
  const attach = new Attach(
    flags.ephemeral ? { onEmpty: () => program.end(new Error("no keeper is attached any more")) } : {},
  );
  const parts: QueenParts = {
    mode: flags.ephemeral ? "ephemeral" : "persistent",
    homeId: homeId(token.value),
    scheduler,
    effects,
    tasks,
    attach,
    registry,
    hives,
    news,
    shutDown: () => program.end(new Error("asked by request")),
    log,
    gitRepoDir: config.remote.git_repo_dir,
    drainMs: config.queen.drain_s * 1_000,
  };
  const server = serve({
    program: "queen-rbee",
    endpoints: queenEndpoints(parts),
    auth: { token: token.value, openNeedsToken: token.isConfigured },
    log,
    hostname: config.queen.listen,
    port: config.queen.port,
    portFallback: flags.ephemeral,
  });
  return { parts, server, notes };
}

/** The registry's lock says that no other queen of this home lives: whoever comes after us may take our hives over. */
function holderOf({ home }: Ground, token: string): LeaseHolder {
  const hostname = Deno.hostname();
  return { id: homeId(`${hostname}:${home}:${token}`), hostname };
}

function localHive({ flags, paths, home, config, log }: Ground, holder: LeaseHolder): HiveAccess {
  const token = hiveToken(paths, config);
  return new LocalHive({
    home,
    hiveFile: paths.hiveFile,
    certFile: config.hive.tls_cert ?? paths.tlsCert,
    token: token.value,
    handOverToken: token.isFromEnvironment,
    configFile: flags.config,
    portFallback: flags.ephemeral,
    holder,
    log,
  });
}

/** Nothing new; who runs may finish for a while; then the rest ends, our hive with its workers, and the server. */
async function takeApart({ parts, server, notes }: Queen, log: Log, reason: unknown): Promise<void> {
  const { effects, scheduler, attach, hives, news } = parts;
  notes.flush();
  log.info("shutting down", { why: reason instanceof Error ? reason.message : String(reason) });
  attach[Symbol.dispose]();
  const error = new RbeeError("SHUTTING_DOWN", { message: "Cannot go on: the queen is shutting down" });
  effects.dispatch({ type: "draining", error });
  for (const end = performance.now() + parts.drainMs; performance.now() < end && scheduler.counts().running > 0;) {
    await sleep(limits.queenPollMs);
  }
  effects.dispatch({ type: "endAll", error });
  const told = (node: string, { gone, all }: { gone: number; all: number }) => {
    log.info(`hive ended ${gone}/${all}`, { node });
    news.tell(node, endNarration(node, `🛑 Hive on ${node} has ended (${gone}/${all})`));
  };
  const hivesGone = hives.endAll(told).then(() => news.close());
  await Promise.all([hivesGone, server.stop(limits.queenLastWordsMs, hivesGone)]);
  effects.stop();
  log.info("ended");
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
