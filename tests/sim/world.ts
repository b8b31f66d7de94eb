/**
 * What the scheduler acts upon, simulated: hives, workers with real slots, streams, and everything that goes wrong with
 * them. It knows the truth; the scheduler only hears what hives and relays tell it, late and sometimes never.
 *
 * @module
 */
import { RbeeError } from "../../protocol/error.ts";
import { limits } from "../../protocol/limits.ts";
import type { HiveStatus, WorkerGone } from "../../protocol/hive_status.ts";
import type { WorkerRecord } from "../../protocol/worker.ts";
import type { Demand } from "../../queen/known.ts";
import type { Effect, SchedulerEvent, StreamEnd } from "../../queen/scheduler_messages.ts";
import type { FakeClock } from "./fake_clock.ts";
import { factsOf, hubModels, takenBy } from "./models.ts";
import type { SeededRandom } from "./seeded_random.ts";

/** How likely each fault is, 0 to 1. */
export interface Faults {
  readonly hiveFails: number;
  readonly hiveSilentAtStart: number;
  readonly spawnRefused: number;
  readonly spawnDies: number;
  readonly spawnSilent: number;
  readonly answeredTwice: number;
  readonly loadFails: number;
  readonly loadDies: number;
  readonly loadStuck: number;
  readonly streamDies: number;
  readonly goneUntold: number;
  /** The connection to a dead worker stays open: nothing comes, and no end. */
  readonly streamHangs: number;
  /** The hive does not say what a model is. */
  readonly lookUpSilent: number;
  readonly lookUpFails: number;
  readonly fetchFails: number;
  /** An idle worker that is asked to end does not. */
  readonly stopIgnored: number;
}

/** The truth about one worker. */
export interface SimulatedWorker {
  readonly id: string;
  readonly node: string;
  readonly demand: Demand;
  readonly slots: number;
  /** What it takes once it has loaded. */
  readonly bytes: number;
  state: "loading" | "ready";
  layers: number;
  /** Streams of ours, by `task#attempt`, and those of clients that came directly. */
  readonly streams: Map<string, Stream>;
  direct: number;
  /** Since when it has loaded and has a free slot; undefined while it has none. */
  freeSince?: number;
  lastUsed: number;
}

interface Stream {
  readonly finish: (end: StreamEnd) => void;
  begun: boolean;
}

interface SimulatedHive {
  readonly node: string;
  isUp: boolean;
  /** Alive, but says nothing. */
  isSilent: boolean;
  upSince: number;
  statusPlanned: boolean;
  readonly workers: Map<string, SimulatedWorker>;
  readonly memoryBytes: number;
  diskBytes: number;
  readonly models: Set<string>;
  /** Of workers that it has promised and not started yet. */
  promised: number;
}

interface SimulatedFetch {
  readonly node: string;
  readonly model: string;
  readonly stop: () => void;
}

const layersTotal = 32;
const gib = 1024 ** 3;
/** How fast models come, in bytes per second. */
const fetchRate = 400e6;

/** The simulated machines. */
export class World {
  readonly #clock: FakeClock;
  readonly #random: SeededRandom;
  readonly #faults: Faults;
  readonly #tell: (event: SchedulerEvent) => void;
  readonly hives: ReadonlyMap<string, SimulatedHive>;
  /** When each worker ended. */
  readonly deadSince = new Map<string, number>();
  readonly #cancels = new Map<string, (how: "gently" | "now" | "broken", error?: RbeeError) => void>();
  readonly #fetches = new Map<string, SimulatedFetch>();
  #workersMade = 0;
  /** Workers that their hive had no memory for. */
  memoryRefusals = 0;
  /** The most memory that a hive's workers ever took of what it has. */
  fullest = 0;

  constructor(
    nodes: readonly string[],
    parts: { clock: FakeClock; random: SeededRandom; faults: Faults; tell: (event: SchedulerEvent) => void },
  ) {
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#faults = parts.faults;
    this.#tell = parts.tell;
    const hive = (node: string): SimulatedHive => ({
      node,
      isUp: false,
      isSilent: false,
      upSince: 0,
      statusPlanned: false,
      workers: new Map(),
      memoryBytes: parts.random.pick([4, 8, 8, 8, 16]) * gib,
      diskBytes: parts.random.pick([4, 50, 50, 50]) * gib,
      models: new Set(hubModels.filter(() => parts.random.chance(0.1))),
      promised: 0,
    });
    this.hives = new Map(nodes.map((node) => [node, hive(node)]));
  }

  /** Returns every living worker. */
  workers(): SimulatedWorker[] {
    return [...this.hives.values()].flatMap((hive) => [...hive.workers.values()]);
  }

  /** Carries out an effect that reaches a machine. */
  carryOut(effect: Effect): void {
    if (effect.type === "ensureHive") this.#ensureHive(this.hives.get(effect.node)!);
    else if (effect.type === "spawnWorker") this.#spawn(effect);
    else if (effect.type === "stopWorker") this.#stopWorker(effect.node, effect.worker);
    else if (effect.type === "lookUpModel") this.#lookUp(effect.node, effect.model);
    else if (effect.type === "fetchModel") this.#startFetch(effect);
    else if (effect.type === "stopFetch") this.#endFetch(effect.fetch);
    else if (effect.type === "startTask") this.#start(effect.task, effect.attempt, effect.worker);
    else if (effect.type === "stopTask") {
      this.#cancels.get(`${effect.task}#${effect.attempt}`)?.(effect.how, effect.error);
    }
  }

  #later(minMs: number, maxMs: number, run: () => void): void {
    this.#clock.after(this.#random.between(minMs, maxMs), run);
  }

  // ── hives ──

  #ensureHive(hive: SimulatedHive): void {
    if (!hive.isUp && this.#random.chance(this.#faults.hiveSilentAtStart)) return; // nothing is ever heard of it
    this.#later(20, 600, () => {
      if (!hive.isUp && this.#random.chance(this.#faults.hiveFails)) {
        // Every other one was killed, which is worth another try.
        const details = this.#random.chance(0.5) ? { signal: "SIGKILL" } : {};
        const error = new RbeeError("HIVE_START_FAILED", { details });
        return this.#tell({ type: "hiveFailed", node: hive.node, error });
      }
      if (!hive.isUp) hive.upSince = this.#clock.now;
      hive.isUp = true;
      hive.isSilent = false;
      this.#tell({ type: "hiveConnected", node: hive.node });
      if (this.#random.chance(this.#faults.answeredTwice)) this.#tell({ type: "hiveConnected", node: hive.node });
      this.#changed(hive);
    });
  }

  /** The hive's process dies, and its workers with it. */
  killHive(hive: SimulatedHive): void {
    if (!hive.isUp) return;
    hive.isUp = false;
    for (const worker of [...hive.workers.values()]) this.#endWorker(worker, undefined);
    const error = new RbeeError("CONNECTION_LOST", { message: "the hive died" });
    this.#later(0, 300, () => this.#tell({ type: "hiveLost", node: hive.node, error }));
  }

  /** The hive goes on, but nothing of it is heard; noticed after a while. */
  silenceHive(hive: SimulatedHive): void {
    if (!hive.isUp || hive.isSilent) return;
    hive.isSilent = true;
    const error = new RbeeError("CONNECTION_LOST", { message: "the hive is silent" });
    this.#clock.after(limits.hiveSilentMs, () => {
      if (hive.isSilent && hive.isUp) this.#tell({ type: "hiveLost", node: hive.node, error });
      hive.upSince = this.#clock.now;
    });
  }

  #changed(hive: SimulatedHive): void {
    if (hive.statusPlanned) return;
    hive.statusPlanned = true;
    this.#later(0, 60, () => {
      hive.statusPlanned = false;
      if (hive.isUp && !hive.isSilent) this.#tell({ type: "hiveStatus", node: hive.node, status: this.#status(hive) });
    });
  }

  #status(hive: SimulatedHive): HiveStatus {
    const machine: HiveStatus["machine"] = {
      hostname: hive.node,
      platform: "linux-x64",
      cpu_cores: 2,
      memory_total_bytes: hive.memoryBytes,
      // What is promised is shown as taken.
      memory_available_bytes: hive.memoryBytes - hive.promised - sum(hive, (worker) => worker.bytes),
      disk_total_bytes: 50 * gib,
      disk_free_bytes: hive.diskBytes,
      gpus: [],
    };
    const models = [...hive.models].map((ref) => factsOf(ref)!);
    return { version: "0.1.0", machine, workers: [...hive.workers.values()].map(recordOf), models };
  }

  // ── models ──

  #lookUp(node: string, model: string): void {
    const hive = this.hives.get(node)!;
    if (hive.isSilent || this.#random.chance(this.#faults.lookUpSilent)) return;
    this.#later(20, 900, () => {
      const unknown = (code: "CONNECTION_LOST" | "CONNECTION_TIMEOUT" | "MODEL_NOT_FOUND") =>
        this.#tell({ type: "modelUnknown", node, model, error: new RbeeError(code) });
      if (!hive.isUp) return unknown("CONNECTION_LOST");
      if (this.#random.chance(this.#faults.lookUpFails)) return unknown("CONNECTION_TIMEOUT");
      const facts = factsOf(model);
      if (!facts) return unknown("MODEL_NOT_FOUND");
      const onDisk = hive.models.has(model);
      this.#tell({ type: "modelKnown", node, model, facts, onDisk, downloadBytes: onDisk ? 0 : facts.size_bytes });
    });
  }

  #startFetch({ fetch, node, model }: Extract<Effect, { type: "fetchModel" }>): void {
    const hive = this.hives.get(node)!;
    const bytes = factsOf(model)!.size_bytes;
    const steps = 4;
    let isStopped = false;
    const failed = (code: "CONNECTION_LOST" | "INSUFFICIENT_DISK") => {
      this.#fetches.delete(fetch);
      this.#tell({ type: "fetchFailed", fetch, error: new RbeeError(code) });
    };
    const step = (done: number) => {
      if (isStopped) return;
      if (!hive.isUp) return failed("CONNECTION_LOST");
      if (this.#random.chance(this.#faults.fetchFails)) return failed("INSUFFICIENT_DISK");
      if (done < steps) {
        const come = bytes * done / steps;
        const progress = { stage: "downloading" as const, bytes_downloaded: come, bytes_total: bytes, speed_mbps: 1 };
        this.#tell({ type: "fetchProgress", fetch, progress });
        return void this.#clock.after(1_000 * bytes / fetchRate / steps, () => step(done + 1));
      }
      this.#fetches.delete(fetch);
      hive.models.add(model);
      hive.diskBytes -= bytes;
      this.#tell({ type: "fetchDone", fetch });
      this.#changed(hive);
    };
    this.#fetches.set(fetch, { node, model, stop: () => void (isStopped = true) });
    this.#later(5, 100, () => step(0));
  }

  #endFetch(fetch: string): void {
    this.#fetches.get(fetch)?.stop();
    this.#fetches.delete(fetch);
  }

  /** Returns the fetches under way. */
  fetches(): SimulatedFetch[] {
    return [...this.#fetches.values()];
  }

  /** Returns what is wrong with asking this hive for that worker: it has not the memory for it. */
  overCommit(node: string, model: string, slots: number): string | undefined {
    const hive = this.hives.get(node)!;
    const [need, free] = [takenBy(model, slots), this.#free(hive)];
    return need > free ? `${node} is asked for ${need} bytes and has ${free}` : undefined;
  }

  #free(hive: SimulatedHive): number {
    return hive.memoryBytes - hive.promised - sum(hive, (worker) => worker.bytes);
  }

  // ── workers ──

  #spawn({ spawn, node, demand, slots }: Extract<Effect, { type: "spawnWorker" }>): void {
    const hive = this.hives.get(node)!;
    const fail = (error: RbeeError) => this.#later(5, 400, () => this.#tell({ type: "spawnFailed", spawn, error }));
    if (!hive.isUp) return fail(new RbeeError("CONNECTION_LOST"));
    if (hive.isSilent || this.#random.chance(this.#faults.spawnSilent)) return;
    if (this.#random.chance(this.#faults.spawnRefused)) return fail(new RbeeError("VRAM_EXHAUSTED"));
    if (this.#random.chance(this.#faults.spawnDies)) return fail(new RbeeError("WORKER_START_FAILED"));
    const bytes = takenBy(demand.model, slots ?? 1);
    if (bytes > this.#free(hive)) {
      this.memoryRefusals++;
      const available = Math.floor(this.#free(hive) / 1024 / 1024);
      return fail(new RbeeError("VRAM_EXHAUSTED", { details: { available, backend: "cpu", device: 0 } }));
    }
    if (bytes > 0 && !hive.models.has(demand.model)) return fail(new RbeeError("MODEL_NOT_FOUND"));
    hive.promised += bytes;
    this.#later(20, 900, () => {
      hive.promised -= bytes;
      if (!hive.isUp) return this.#tell({ type: "spawnFailed", spawn, error: new RbeeError("CONNECTION_LOST") });
      const worker = this.#addWorker(hive, demand, slots ?? 1);
      const answered: SchedulerEvent = {
        type: "spawnAnswered",
        spawn,
        worker: { worker_id: worker.id, url: `http://127.0.0.1/${worker.id}`, state: "loading" },
      };
      // Its picture may be faster than its answer, and so may its end.
      this.#later(0, 200, () => {
        this.#tell(answered);
        if (this.#random.chance(this.#faults.answeredTwice)) this.#tell(answered);
      });
      this.#load(worker);
    });
  }

  #addWorker(hive: SimulatedHive, demand: Demand, slots: number): SimulatedWorker {
    const worker: SimulatedWorker = {
      id: `worker-${++this.#workersMade}`,
      node: hive.node,
      demand,
      slots,
      bytes: takenBy(demand.model, slots),
      state: "loading",
      layers: 0,
      streams: new Map(),
      direct: 0,
      lastUsed: this.#clock.now,
    };
    hive.workers.set(worker.id, worker);
    this.fullest = Math.max(this.fullest, sum(hive, (one) => one.bytes) / hive.memoryBytes);
    this.#changed(hive);
    return worker;
  }

  /** Loads that many workers on every hive before anything begins, of models that it then has. */
  fill(workersEach: number): void {
    for (const hive of this.hives.values()) {
      for (let n = 0; n < workersEach; n++) {
        const model = this.#random.pick(["builtin:tiny", ...hubModels]);
        if (takenBy(model, 1) > this.#free(hive)) continue;
        if (factsOf(model)) hive.models.add(model);
        const worker = this.#addWorker(hive, { model }, 1);
        worker.layers = layersTotal;
        worker.state = "ready";
        worker.freeSince = 0;
      }
    }
  }

  #load(worker: SimulatedWorker): void {
    const random = this.#random;
    const fails = random.chance(this.#faults.loadFails);
    const dies = random.chance(this.#faults.loadDies);
    const stuck = random.chance(this.#faults.loadStuck);
    const step = () => {
      if (!this.#lives(worker) || worker.state !== "loading") return;
      worker.layers += 4;
      this.#changed(this.hives.get(worker.node)!);
      if (worker.layers === 16 && dies) return this.#endWorker(worker, { reason: "crashed" });
      if (worker.layers === 16 && fails) return this.#endWorker(worker, loadFailed);
      if (worker.layers === 28 && stuck) return;
      if (worker.layers < layersTotal) return this.#later(5, 300, step);
      worker.state = "ready";
      this.#noteSlots(worker);
    };
    this.#later(5, 300, step);
  }

  #lives(worker: SimulatedWorker): boolean {
    return this.hives.get(worker.node)!.workers.get(worker.id) === worker;
  }

  /** Ends a worker and breaks its streams. Its hive tells why, unless that gets lost: then its picture tells that. */
  #endWorker(worker: SimulatedWorker, gone: Omit<WorkerGone, "worker_id"> | undefined): void {
    const hive = this.hives.get(worker.node)!;
    if (!hive.workers.delete(worker.id)) return;
    worker.freeSince = undefined;
    this.deadSince.set(worker.id, this.#clock.now);
    for (const stream of [...worker.streams.values()]) {
      if (this.#random.chance(this.#faults.streamHangs)) continue;
      this.#later(0, 50, () => {
        stream.finish({ kind: "broken", error: new RbeeError("WORKER_CRASHED"), begun: stream.begun });
      });
    }
    if (gone && hive.isUp && !hive.isSilent && !this.#random.chance(this.#faults.goneUntold)) {
      this.#tell({ type: "workerGone", node: hive.node, gone: { worker_id: worker.id, ...gone } });
    }
    this.#changed(hive);
  }

  /** A worker's process dies. */
  killWorker(worker: SimulatedWorker): void {
    if (this.#lives(worker)) this.#endWorker(worker, { reason: "crashed" });
  }

  /** Ends workers that nobody has used for that long, as hives do. */
  endIdle(idleMs: number): void {
    for (const worker of this.workers()) {
      const isIdle = worker.state === "ready" && worker.streams.size + worker.direct === 0;
      if (isIdle && this.#clock.now - worker.lastUsed > idleMs) this.#endWorker(worker, { reason: "idle" });
    }
  }

  #stopWorker(node: string, id: string): void {
    const worker = this.hives.get(node)?.workers.get(id);
    if (this.#random.chance(this.#faults.stopIgnored)) return;
    if (worker) this.#later(100, 5_000, () => this.#endWorker(worker, { reason: "stopped" }));
  }

  /** Somebody uses a slot of a worker without the queen, for that long. */
  useDirectly(worker: SimulatedWorker, ms: number): void {
    if (!this.#lives(worker) || worker.state !== "ready" || this.#used(worker) >= worker.slots) return;
    worker.direct++;
    this.#noteSlots(worker);
    this.#clock.after(ms, () => {
      worker.direct--;
      this.#noteSlots(worker);
    });
  }

  #used(worker: SimulatedWorker): number {
    return worker.streams.size + worker.direct;
  }

  #noteSlots(worker: SimulatedWorker): void {
    if (!this.#lives(worker)) return;
    worker.lastUsed = this.#clock.now;
    const isFree = worker.state === "ready" && this.#used(worker) < worker.slots;
    worker.freeSince = isFree ? worker.freeSince ?? this.#clock.now : undefined;
    this.#changed(this.hives.get(worker.node)!);
  }

  // ── streams ──

  #start(task: string, attempt: number, address: { id: string; node: string }): void {
    const name = `${task}#${attempt}`;
    let isOver = false;
    const finish = (end: StreamEnd) => {
      if (isOver) return;
      isOver = true;
      this.#cancels.delete(name);
      this.hives.get(address.node)!.workers.get(address.id)?.streams.delete(name);
      const worker = this.hives.get(address.node)!.workers.get(address.id);
      if (worker) this.#noteSlots(worker);
      this.#tell({ type: "streamEnded", task, attempt, end });
      if (!this.#random.chance(this.#faults.answeredTwice)) return;
      this.#later(0, 2_000, () => this.#tell({ type: "streamEnded", task, attempt, end }));
    };
    const stream: Stream = { finish, begun: false };
    this.#cancels.set(name, (how, error) => {
      const end: StreamEnd = how === "broken"
        ? { kind: "broken", error: error ?? new RbeeError("WORKER_CRASHED"), begun: stream.begun }
        : how === "gently"
        ? { kind: "done", failed: false }
        : { kind: "stopped" };
      this.#later(0, how === "gently" ? 900 : 100, () => finish(end));
    });
    this.#later(1, 20, () => isOver ? undefined : this.#arrive(name, address, stream));
  }

  #arrive(name: string, address: { id: string; node: string }, stream: Stream): void {
    const worker = this.hives.get(address.node)!.workers.get(address.id);
    const refuse = (code: "CONNECTION_TIMEOUT" | "WORKER_NOT_READY" | "ALL_SLOTS_BUSY") =>
      stream.finish({ kind: "refused", error: new RbeeError(code) });
    if (!worker) return refuse("CONNECTION_TIMEOUT");
    if (worker.state === "loading") return refuse("WORKER_NOT_READY");
    if (this.#used(worker) >= worker.slots) return refuse("ALL_SLOTS_BUSY");
    worker.streams.set(name, stream);
    this.#noteSlots(worker);
    const dies = this.#random.chance(this.#faults.streamDies);
    this.#later(5, 400, () => {
      if (dies && this.#random.chance(0.5)) this.killWorker(worker);
      stream.begun = this.#lives(worker);
      // A slow client makes it long.
      this.#later(10, this.#random.chance(0.1) ? 20_000 : 1_500, () => {
        if (dies) this.killWorker(worker);
        else if (worker.streams.get(name) === stream) {
          stream.finish({ kind: "done", failed: this.#random.chance(0.05) });
        }
      });
    });
  }
}

const loadFailed: Omit<WorkerGone, "worker_id"> = {
  reason: "load-failed",
  error: { code: "MODEL_LOAD_FAILED", message: "Cannot load the model: the file is cut", details: {} },
};

/** What a worker has taken by now. */
const taken = (worker: SimulatedWorker): number => worker.bytes * worker.layers / layersTotal;

function sum(hive: SimulatedHive, of: (worker: SimulatedWorker) => number): number {
  let all = 0;
  for (const worker of hive.workers.values()) all += of(worker);
  return all;
}

function recordOf(worker: SimulatedWorker): WorkerRecord {
  const used = worker.streams.size + worker.direct;
  const isReady = worker.state === "ready";
  return {
    id: worker.id,
    url: `http://127.0.0.1/${worker.id}`,
    port: 8081,
    model_ref: worker.demand.model,
    backend: worker.demand.backend ?? "cpu",
    device: worker.demand.device ?? 0,
    state: isReady ? (used > 0 ? "busy" : "idle") : "loading",
    slots_total: worker.slots,
    slots_available: isReady ? worker.slots - used : 0,
    last_activity_unix: 0,
    failed_health_checks: 0,
    pid: 1,
    layers_loaded: worker.layers,
    layers_total: layersTotal,
    keep_s: worker.demand.keepS,
    memory_bytes: taken(worker),
  };
}
