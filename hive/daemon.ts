/**
 * `rbee-hive daemon`: puts the hive together, lets it serve until it is told to end, and takes it apart in order.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { homeId, isLoopback, loadOrCreateToken, readToken } from "../runtime/auth.ts";
import { sleep } from "../runtime/call.ts";
import { type Config, loadConfig } from "../runtime/config.ts";
import { environment } from "../runtime/environment.ts";
import { type Log, openLog } from "../runtime/log.ts";
import { type Paths, paths as userPaths, prepareHome } from "../runtime/paths.ts";
import { type Program, runProgram } from "../runtime/program.ts";
import { publishRunning } from "../runtime/running.ts";
import { checkAddress, serve, type Server } from "../runtime/serve.ts";
import { VERSION } from "../runtime/version.ts";
import { Calibrations } from "./calibration.ts";
import { type Catalog, openCatalog } from "./catalog.ts";
import type { Downloads } from "./downloads.ts";
import { hiveDownloads } from "./hive_downloads.ts";
import { Events } from "./events.ts";
import { Lease } from "./lease.ts";
import { MachineReader } from "./machine.ts";
import { machineSources, oomKills } from "./machine_sources.ts";
import { Models } from "./models.ts";
import { showError } from "./output.ts";
import { pictures } from "./picture.ts";
import { Pool } from "./pool.ts";
import { enterWhatLies } from "./rebuild.ts";
import { hiveEndpoints, type HiveParts } from "./server.ts";
import { planSpawn } from "./spawn_plan.ts";
import { Speeds } from "./speeds.ts";
import { checkOwnCertificate, type HiveTls, hiveTls } from "./tls.ts";
import { Watch } from "./watch.ts";
import { installedBackends, workerCommand } from "./worker_command.ts";
import { sweepWorkerFolders } from "./worker_folder.ts";
import { pruneWorkerLogs } from "./worker_logs.ts";
import { WorkerPorts } from "./worker_ports.ts";

/** What `daemon` was started with. */
export interface DaemonFlags {
  readonly port?: number;
  readonly listen?: string;
  /** Speaks no TLS, also where others can hear it. */
  readonly plaintext: boolean;
  /** Ends itself when no queen renews its lease. */
  readonly leased: boolean;
  /** Takes another port when the wished one is taken. */
  readonly portFallback: boolean;
  /** Writes its log to the file alone. */
  readonly detached: boolean;
}

/** Why a leased hive ends. */
class LeaseOver extends Error {
  override readonly name = "LeaseOver";
}

/** Runs the hive until it is told to end, and leaves the process with its exit code; never returns. */
export async function runDaemon(flags: DaemonFlags): Promise<never> {
  let log: Log | undefined;
  return await runProgram((program) => live(flags, program, (opened) => log = opened), {
    onError(error) {
      // Whoever started it detached reads the file; a person reads the lines below.
      if (flags.detached) log?.error(error.message, { code: error.code, details: error.details });
      return showError(error);
    },
    onFault: (fault) => log?.error("a fault that nobody caught", { error: fault, stack: (fault as Error)?.stack }),
  });
}

/** Returns the exit code. Throws what keeps the hive from starting. */
async function live(flags: DaemonFlags, program: Program, onLog: (log: Log) => void): Promise<number> {
  const paths = userPaths();
  prepareHome(paths);
  const { config } = loadConfig(paths, { hive: { port: flags.port, listen: flags.listen } });
  const log = openLog({
    program: "rbee-hive",
    level: config.log.level,
    file: `${paths.logs}/hive.log`,
    stderr: !flags.detached,
  });
  onLog(log);
  const token = hiveToken(paths, config);
  using catalog = await openCatalogOf(paths, flags.leased, program.signal);
  const moved_to = catalog.movedAside;
  if (moved_to) log.error("the catalog was damaged and is made anew from the models folder", { moved_to });
  using tls = transportSecurity(paths, config, flags, log);
  const hive = assemble({ paths, config, log, token, tls, catalog, flags, program });
  if (tls) await checkOwnCertificate({ program: "rbee-hive", base: hive.server.url, client: tls.client }, tls);
  using _running = publishRunning(paths.hiveFile, {
    pid: Deno.pid,
    url: hive.server.url,
    version: VERSION,
    started_unix: Math.floor(Date.now() / 1_000),
  });
  log.info("listening", { url: hive.server.url, version: VERSION, leased: flags.leased });
  await ended(program.signal);
  return await takeApart(hive, log, program.signal.reason);
}

interface Hive {
  readonly server: Server;
  readonly pool: Pool;
  readonly downloads: Downloads;
  readonly events: Events;
  readonly speeds: Speeds;
  readonly timers: Disposable;
}

interface Ground {
  readonly paths: Paths;
  readonly config: Readonly<Config>;
  readonly log: Log;
  readonly token: string;
  /** Absent on loopback, and where a person said so. */
  readonly tls?: HiveTls;
  readonly catalog: Catalog;
  readonly flags: DaemonFlags;
  readonly program: Program;
}

function assemble(ground: Ground): Hive {
  const { paths, config, log, token, tls, flags, program } = ground;
  const swept = sweepWorkerFolders(paths.workers);
  if (swept > 0) log.warn("removed folders of workers whose hive was killed", { folders: swept });
  pruneWorkerLogs(paths.logs);
  const machine = new MachineReader(machineSources(config.hive.probe, paths.home));
  const speeds = new Speeds(paths.speedsFile, thisMachine());
  const installed = installedBackends();
  const { slots, ctx } = config.workers;
  const defaults = { slots, ctx };
  const events: Events = new Events(() => show());
  const models: Models = new Models({
    catalog: ground.catalog,
    folder: config.models.dir ?? paths.models,
    ownFolder: paths.models,
    aliases: config.models.aliases,
    onChange: () => events.changed(),
  });
  models.searching(enterWhatLies(models, log));
  const downloads = hiveDownloads({ paths, config, models, machine });
  const pool: Pool = makePool(ground, { machine, events, models, speeds, callbackUrl: () => server.url });
  const show = pictures({ machine, pool, models, speeds, installed, defaults, log, onFigures: () => events.changed() });
  const lease = new Lease({ leased: flags.leased });
  const shutDown = () => program.end(new Error("asked by request"));
  const own = { log, homeId: homeId(token), logs: paths.logs, shutDown };
  const parts: HiveParts = { pool, models, downloads, machine, events, lease, ...own };
  const server: Server = serve({
    program: "rbee-hive",
    endpoints: hiveEndpoints(parts),
    auth: { token, openNeedsToken: true, isWorkerKey: (key) => pool.isWorkerKey(key) },
    log,
    hostname: config.hive.listen,
    port: config.hive.port,
    portFallback: flags.portFallback,
    tls,
  });
  return { server, pool, downloads, events, speeds, timers: startTimers({ pool, lease, models }, ground) };
}

function makePool(
  { paths, config, log, token, tls }: Ground,
  parts: { machine: MachineReader; events: Events; models: Models; speeds: Speeds; callbackUrl: () => string },
): Pool {
  const { listen } = config.hive;
  const { port_start, port_end } = config.workers;
  const onNetwork = !isLoopback(listen);
  const everywhere = listen === "0.0.0.0" || listen === "::";
  const calibrations = new Calibrations(paths.calibrationFile, thisMachine());
  const planner = { ...parts, calibrations, installed: installedBackends(), config };
  return new Pool({
    plan: (wish, promise) => planSpawn(wish, planner, promise),
    command: workerCommand,
    token,
    callbackUrl: parts.callbackUrl,
    folders: paths.workers,
    logs: paths.logs,
    ports: new WorkerPorts({ start: port_start, end: port_end, hostname: onNetwork ? listen : "127.0.0.1" }),
    workerHost: onNetwork && !everywhere ? listen : "127.0.0.1",
    listen: onNetwork ? listen : undefined,
    tls,
    readyMs: config.hive.ready_timeout_s * 1_000,
    drainMs: config.hive.drain_s * 1_000,
    events: parts.events,
    log,
    onCalibration: (name, threads) => calibrations.remember(name, threads),
    onWork: ({ placement, model }, work) =>
      parts.speeds.learn({ ...placement, sizeBytes: model.sizeBytes }, work, performance.now()),
    oomKills,
  });
}

const thisMachine = () => ({ hostname: Deno.hostname(), cpuCores: navigator.hardwareConcurrency });

function startTimers(
  { pool, lease, models }: { pool: Pool; lease: Lease; models: Models },
  { config, log, program }: Ground,
): Disposable {
  const watch = new Watch(pool, {
    healthMs: config.hive.health_interval_s * 1_000,
    loadMs: config.hive.load_timeout_s * 1_000,
    log,
  });
  const look = setInterval(() => {
    if (lease.isOver()) program.end(new LeaseOver("no queen renewed the lease"));
  }, limits.hiveLeaseLookMs);
  const lookAtModels = setInterval(() => {
    models.look().catch((error) => log.error("cannot look at the models", { error }));
  }, limits.catalogLookMs);
  return {
    [Symbol.dispose]() {
      clearInterval(look);
      clearInterval(lookAtModels);
      watch[Symbol.dispose]();
    },
  };
}

async function takeApart(hive: Hive, log: Log, reason: unknown): Promise<number> {
  const why = reason instanceof Error ? reason.message : String(reason);
  log.info("shutting down", { why, workers: hive.pool.workers().length });
  hive.timers[Symbol.dispose]();
  // A queen that is gone waits for no answers.
  await Promise.all([hive.pool.stopAll({ drain: !(reason instanceof LeaseOver) }), hive.downloads.stop()]);
  hive.speeds.save(performance.now());
  hive.events.close();
  await hive.server.stop(limits.hiveLastWordsMs);
  log.info("ended");
  return 0;
}

async function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** Returns what the hive speaks TLS with; undefined where it does not. Throws as `hiveTls` does. */
function transportSecurity(
  paths: Paths,
  { hive }: Readonly<Config>,
  { plaintext }: DaemonFlags,
  log: Log,
): HiveTls | undefined {
  if (isLoopback(hive.listen)) return undefined;
  if (plaintext) {
    log.warn("no TLS: everybody on this network can read tokens and prompts", { listen: hive.listen });
    return undefined;
  }
  checkAddress(hive.listen); // before a certificate is made for it
  const tls = hiveTls(paths, hive);
  const facts = { file: tls.file, sha256: tls.fingerprint };
  log.info(tls.isNew ? "made a certificate" : "uses the certificate", facts);
  return tls;
}

function hiveToken(paths: Paths, config: Readonly<Config>): string {
  const configured = environment("RBEE_HIVE_TOKEN") ?? tokenFromFile(config.hive.token_file);
  if (configured !== undefined) return configured;
  if (isLoopback(config.hive.listen)) return loadOrCreateToken(paths.hiveToken);
  throw new RbeeError("TOKEN_REQUIRED", {
    message: `Cannot listen on ${config.hive.listen} without a token`,
    hint: "Set RBEE_HIVE_TOKEN, or [hive] token_file in config.toml, or listen on 127.0.0.1",
  });
}

function tokenFromFile(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const token = readToken(path);
  if (token !== undefined) return token;
  throw new RbeeError("CONFIG_INVALID", {
    message: `Cannot use [hive] token_file: ${path} is missing, empty or readable by others`,
    details: { key: "hive.token_file" },
    hint: `Write the token to ${path} and run: chmod 600 ${path}`,
  });
}

/** A queen may start us while the hive of the one before her is still ending. */
async function openCatalogOf(paths: Paths, patient: boolean, signal: AbortSignal): Promise<Catalog> {
  for (const until = performance.now() + limits.catalogLockWaitMs;;) {
    try {
      return await openCatalog(paths.catalogDb);
    } catch (error) {
      const locked = error instanceof RbeeError && error.code === "CATALOG_UNAVAILABLE";
      if (!locked || !patient || performance.now() > until) throw error;
      await sleep(limits.catalogLockLookMs, signal);
    }
  }
}
