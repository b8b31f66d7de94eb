/**
 * A pool over stand-in workers, with the hive's own server in front of it: everything but devices and catalog is real.
 */
import { TINY_BYTES, tinyGguf } from "../../native/tiny.ts";
import type { WorkerGone } from "../../protocol/hive_status.ts";
import type { WorkerRecord } from "../../protocol/worker.ts";
import { parseText } from "../../protocol/sse.ts";
import { homeId, newToken } from "../../runtime/auth.ts";
import type { Peer } from "../../runtime/call.ts";
import type { Log } from "../../runtime/log.ts";
import { fromFileUrl } from "../../runtime/path.ts";
import { serve } from "../../runtime/serve.ts";
import { Downloads } from "../downloads.ts";
import { Events } from "../events.ts";
import { Lease } from "../lease.ts";
import { MachineReader } from "../machine.ts";
import { Models } from "../models.ts";
import { openCatalog } from "../catalog.ts";
import { Pool } from "../pool.ts";
import { hiveEndpoints } from "../server.ts";
import { Watch } from "../watch.ts";
import { WorkerPorts } from "../worker_ports.ts";

/** What a test's pool is like. */
export interface BenchOptions {
  /** Flags of the stand-in worker. */
  worker?: string[];
  idleMs?: number;
  readyMs?: number;
  loadMs?: number;
  healthMs?: number;
  drainMs?: number;
}

/** A pool under test, and what it told. */
export interface Bench extends AsyncDisposable {
  readonly pool: Pool;
  readonly hive: Peer;
  readonly folder: string;
  readonly portStart: number;
  readonly gone: WorkerGone[];
  readonly narration: string[];
  readonly calibrations: [string, number][];
  /** Resolves when the workers are as wished; throws after 10 s. */
  until(wish: (workers: WorkerRecord[]) => boolean): Promise<WorkerRecord[]>;
  /** Resolves when that many workers were told to be gone. */
  untilGone(count?: number): Promise<WorkerGone[]>;
}

const noMemory = { totalBytes: 0, hostBytes: 0, deviceBytes: 0, mappedBytes: 0, contextBytes: 0 };
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet };
const script = fromFileUrl(new URL("./stand_in_worker.ts", import.meta.url));
const config = fromFileUrl(new URL("../../deno.json", import.meta.url));
/** Below the range that Linux gives to outgoing connections (32768 and up), and below that of `tests/support/ports.ts`. */
let nextPort = 12_000 + Deno.pid % 350 * 20;

/** Returns a pool with its server. */
export async function makeBench(options: BenchOptions = {}): Promise<Bench> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "rbee-hive-" }));
  const portStart = nextPort += 20;
  const token = newToken();
  const [gone, narration, calibrations]: [WorkerGone[], string[], [string, number][]] = [[], [], []];
  const machine = new MachineReader({
    gpus: () => Promise.resolve([]),
    memory: () => ({ totalBytes: 8e9, availableBytes: 8e9 }),
    disk: () => undefined,
  });
  const catalog = await openCatalog(`${folder}/models.db`);
  const models = new Models({ catalog, folder: `${folder}/models`, aliases: {} });
  const events = new Events(async () => ({ version: "0", machine: await machine.read(), workers: pool.list() }));
  const path = fromFileUrl(tinyGguf());
  const files = [{ name: "tiny.gguf", path, size: TINY_BYTES, mtime: 0, digest: null }];
  const model = { ref: "builtin:tiny", path, files, sizeBytes: TINY_BYTES, shape: null, fingerprint: "tiny" };
  const pool: Pool = new Pool({
    plan: (wish) =>
      Promise.resolve({
        model,
        placement: { backend: "cpu", device: 0, need: { ...noMemory } },
        slots: wish.slots ?? 1,
        idleMs: wish.keep_s === undefined ? options.idleMs ?? 300_000 : wish.keep_s * 1_000,
        keepS: wish.keep_s,
        calibrationName: "cpu:tiny",
      }),
    command: () => ({
      exe: Deno.execPath(),
      args: [
        "run",
        "-A",
        "--quiet",
        "--no-check",
        "--config",
        config,
        script,
        ...options.worker ?? [],
        "--first-port",
        String(portStart),
      ],
      path: "/usr/bin:/bin",
    }),
    token,
    callbackUrl: () => server.url,
    folders: `${folder}/workers`,
    logs: folder,
    ports: new WorkerPorts({ start: portStart, end: portStart + 9, hostname: "127.0.0.1" }),
    workerHost: "127.0.0.1",
    readyMs: options.readyMs ?? 10_000,
    drainMs: options.drainMs ?? 2_000,
    termGraceMs: 700,
    events,
    log: quiet,
    onCalibration: (name, threads) => calibrations.push([name, threads]),
    onWork: () => {},
    oomKills: () => undefined,
  });
  const lease = new Lease({ leased: true });
  const downloads = new Downloads({
    ...{ folder, stallMs: 1_000, onArrived() {} },
    known: () => Promise.resolve(undefined),
    memoryBytes: () => Promise.resolve(undefined),
  });
  const own = { log: quiet, homeId: homeId(token), logs: folder, shutDown() {} };
  const parts = { pool, models, downloads, machine, events, lease, ...own };
  const server = serve({
    program: "rbee-hive",
    endpoints: hiveEndpoints(parts),
    auth: { token, openNeedsToken: true, isWorkerKey: (key) => pool.isWorkerKey(key) },
    log: quiet,
    hostname: "127.0.0.1",
    port: 0,
  });
  const watch = new Watch(pool, { healthMs: options.healthMs ?? 60_000, loadMs: options.loadMs ?? 60_000, log: quiet });
  const left = new AbortController();
  const write = (piece: string | Uint8Array) => {
    for (const event of parseText(String(piece))) {
      if (event.event === "worker-gone") gone.push(JSON.parse(event.data));
      if (event.event === "narration") narration.push(JSON.parse(event.data).human);
    }
    return Promise.resolve();
  };
  const told = events.serve({ signal: left.signal, write }).catch(() => {}); // it ends by our own abort
  return {
    ...{ pool, folder, portStart, gone, narration, calibrations },
    hive: { program: "rbee-hive", base: server.url, token },
    async until(wish) {
      await poll(() => wish(pool.list()), () => JSON.stringify([pool.list(), gone]));
      return pool.list();
    },
    async untilGone(count = 1) {
      await poll(() => gone.length >= count, () => JSON.stringify([pool.list(), gone]));
      return gone;
    },
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]();
      await pool.stopAll({ drain: false });
      left.abort();
      await told;
      await server.stop(500);
      catalog[Symbol.dispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function poll(isTrue: () => boolean, state: () => string): Promise<void> {
  for (let n = 0; n < 1_000; n++) {
    if (isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Cannot wait any longer: ${state()}`);
}
