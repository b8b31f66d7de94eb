/**
 * One seeded run of the real scheduler against a simulated world with faults, and the rules that must hold in it.
 *
 * @module
 */
import { RbeeError } from "../../protocol/error.ts";
import { limits } from "../../protocol/limits.ts";
import { Scheduler } from "../../queen/scheduler.ts";
import type { Effect, SchedulerEvent, TaskWish } from "../../queen/scheduler_messages.ts";
import { FakeClock } from "./fake_clock.ts";
import { SeededRandom } from "./seeded_random.ts";
import { hubModels, missingModel } from "./models.ts";
import { type Faults, type SimulatedWorker, World } from "./world.ts";

/** How large a run is; absent: small, of a size that the seed chooses. */
export interface Size {
  readonly hives: number;
  readonly workersEach: number;
  readonly tasks: number;
}

/** The large configuration. */
export const largeRun: Size = Object.freeze({ hives: 1_000, workersEach: 5, tasks: 2_000 });

/** How a run went. */
export interface RunResult {
  readonly seed: number;
  readonly tasks: number;
  readonly ends: Readonly<Record<string, number>>;
  readonly simulatedMs: number;
  /** Digest of everything that happened, in order: two runs of one seed have the same. */
  readonly digest: number;
  /** Workers that were started, models that were fetched, and idle workers that made room. */
  readonly spawned: number;
  readonly fetched: number;
  readonly evicted: number;
  /** Workers that a hive had no memory for. */
  readonly memoryRefusals: number;
  /** The most memory that a hive's workers took of what it has. */
  readonly fullest: number;
}

/** A rule that did not hold. */
export class RuleBroken extends Error {
  override readonly name = "RuleBroken";
  constructor(readonly seed: number, rule: string, readonly trace: readonly string[]) {
    super(`seed ${seed}: ${rule}\n  replay: deno task sim --seed ${seed} --runs 1 --trace`);
  }
}

interface SeenTask {
  readonly wish: TaskWish;
  readonly order: number;
  phase: "waiting" | "running" | "ended";
  waitingSince: number;
  ends: number;
  /** Attempts that a dead worker ended before anything was sent. */
  deaths: number;
  /** Lines that told why something was decided about it. */
  reasons: number;
}

/** A waiting task may miss a free slot for this long: what a suspicion, a refusal and a late picture may take together. */
const blindMs = limits.lostWorkerGraceMs + limits.busyNarrationMs[0] + 500;
const taskMsMax = 90_000;
const endMs = 900_000;

/** One run. */
export class Simulation {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #clock = new FakeClock();
  readonly #world: World;
  readonly #scheduler: Scheduler;
  readonly #nodes: readonly string[];
  readonly #tasks = new Map<string, SeenTask>();
  /** Attempts that have begun and not ended, by worker: the scheduler's own promise. */
  readonly #started = new Map<string, { worker: string; slots: number }>();
  readonly #nodeOf = new Map<string, string>();
  readonly #timers = new Map<string, () => void>();
  readonly #events: SchedulerEvent[] = [];
  readonly #trace: string[] = [];
  readonly #size?: Size;
  readonly #faults: Faults;
  /** Workers that the queen has asked to end. */
  readonly #stopped = new Set<string>();
  readonly #counts = { spawned: 0, fetched: 0, evicted: 0 };
  /** Tasks that have not ended. */
  readonly #live = new Map<string, SeenTask>();
  /** Memory is short: idle workers stay long, and all models are large. */
  readonly #isTight: boolean;
  /** A hive has been away, or did not say what it does: then the queen cannot know what is there. */
  #isBlurred = false;
  #digest = 0;
  #isBusy = false;

  constructor(seed: number, size?: Size) {
    this.#seed = seed;
    this.#size = size;
    const random = new SeededRandom(seed);
    this.#random = random;
    this.#isTight = random.chance(0.4);
    this.#nodes = size
      ? Array.from({ length: size.hives }, (_none, at) => `node-${at}`)
      : random.pick(this.#isTight ? nodesOfTightRuns : nodesOfSmallRuns);
    this.#faults = faultsOf(random);
    this.#isBlurred = this.#faults.spawnSilent + this.#faults.stopIgnored > 0;
    const parts = { clock: this.#clock, random, faults: this.#faults };
    this.#world = new World(this.#nodes, { ...parts, tell: (event) => this.#dispatch(event) });
    const next = () => random.next();
    this.#scheduler = new Scheduler({ nodes: this.#nodes, loadMs: 20_000, spawnMs: 10_000, random: next });
  }

  /** Runs it to its end. Throws `RuleBroken`. */
  run(): RunResult {
    if (this.#size) this.#world.fill(this.#size.workersEach);
    for (const node of this.#nodes) this.#dispatch({ type: "hiveWanted", node });
    const count = this.#size?.tasks ?? this.#random.between(this.#isTight ? 15 : 1, 25);
    for (let at = 0; at < count; at++) this.#clock.after(this.#random.between(0, 30_000), () => this.#submit(at));
    this.#planAccidents();
    const isDrained = this.#random.chance(0.3);
    if (isDrained) this.#clock.after(this.#random.between(0, 60_000), () => this.#drain());
    const look = () => {
      this.#world.endIdle(this.#isTight ? 60_000 : 8_000);
      this.#checkNobodyWaitsBesideAFreeSlot();
      this.#checkNobodyStaysWithTheDead();
      if (this.#clock.now < endMs) this.#clock.after(250, look);
    };
    this.#clock.after(250, look);
    const isOver = () => this.#tasks.size === count && this.#allEnded() && this.#started.size === 0;
    while (!isOver() && this.#clock.step(endMs)) { /* everything happens in entries of the clock */ }
    this.#settle();
    this.#checkEnd(count);
    return {
      seed: this.#seed,
      tasks: count,
      ends: this.#ends,
      simulatedMs: this.#clock.now,
      digest: this.#digest >>> 0,
      ...this.#counts,
      memoryRefusals: this.#world.memoryRefusals,
      fullest: this.#world.fullest,
    };
  }

  readonly #ends: Record<string, number> = {};

  #allEnded(): boolean {
    return this.#live.size === 0;
  }

  /** Whatever is still on its way arrives: it must change nothing any more. */
  #settle(): void {
    const until = this.#clock.now + limits.hiveEnsureMs + 30_000;
    while (this.#clock.step(until)) { /* late answers, timers */ }
  }

  #planAccidents(): void {
    const { between, chance } = bound(this.#random);
    const at = (run: () => void) => this.#clock.after(between(0, 60_000), run);
    const aWorker = (use: (worker: SimulatedWorker) => void) => () => {
      const workers = this.#world.workers();
      if (workers.length > 0) use(this.#random.pick(workers));
    };
    for (let n = between(0, 6); n > 0; n--) at(aWorker((worker) => this.#world.killWorker(worker)));
    for (let n = between(0, 8); n > 0; n--) {
      at(aWorker((worker) => this.#world.useDirectly(worker, between(100, 12_000))));
    }
    for (const hive of this.#world.hives.values()) {
      if (chance(this.#size ? 0.02 : 0.3)) at(() => this.#blur(() => this.#world.killHive(hive)));
      if (chance(this.#size ? 0.01 : 0.15)) at(() => this.#blur(() => this.#world.silenceHive(hive)));
    }
  }

  #blur(run: () => void): void {
    this.#isBlurred = true;
    run();
  }

  #submit(number: number): void {
    const { between, chance, pick } = bound(this.#random);
    const id = `task-${number}`;
    const wish: TaskWish = {
      id,
      kind: chance(0.08) ? "load" : "infer",
      demand: {
        model: pick(this.#isTight ? hubModels.slice(0, 3) : modelsOfRuns),
        node: chance(this.#isTight ? 0.1 : 0.3) ? pick([...this.#nodes, "nowhere"]) : undefined,
        backend: chance(0.1) ? "cpu" : undefined,
        device: chance(0.05) ? 0 : undefined,
        keepS: chance(0.03) ? 60 : undefined,
      },
      slots: chance(0.3) ? between(1, 4) : undefined,
      waitMs: pick([0, 1_000, 7_000, 7_000, 60_000]),
      timeoutMs: chance(0.1) ? between(50, 5_000) : taskMsMax,
      client: chance(0.5) ? undefined : pick(["anna", "bert"]),
      answerTokens: between(1, 300),
      explain: true,
    };
    const seen: SeenTask = {
      wish,
      order: this.#tasks.size,
      phase: "waiting",
      waitingSince: this.#clock.now,
      ends: 0,
      deaths: 0,
      reasons: 0,
    };
    this.#tasks.set(id, seen);
    this.#live.set(id, seen);
    this.#dispatch({ type: "taskSubmitted", wish });
    if (chance(0.25)) {
      const cancel: SchedulerEvent = { type: "taskCancelled", task: id, gently: chance(0.5) };
      this.#clock.after(between(0, 6_000), () => this.#dispatch(cancel));
      if (chance(0.3)) this.#clock.after(between(0, 6_000), () => this.#dispatch({ ...cancel, gently: false }));
    }
  }

  #drain(): void {
    const error = new RbeeError("SHUTTING_DOWN");
    this.#dispatch({ type: "draining", error });
    this.#clock.after(limits.drainMs, () => this.#dispatch({ type: "endAll", error }));
  }

  /** As `effects.ts` does it: one event at a time, effects in their order. */
  #dispatch(event: SchedulerEvent): void {
    this.#events.push(event);
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let next = this.#events.shift(); next; next = this.#events.shift()) {
      this.#note(next);
      if (next.type === "streamEnded") this.#started.delete(`${next.task}#${next.attempt}`);
      for (const effect of this.#scheduler.handle(next, this.#clock.now)) this.#take(effect);
      if (next.type === "streamEnded") this.#noteWaitingAgain(next);
      if (!this.#size) this.#checkTimers();
    }
    this.#isBusy = false;
  }

  #noteWaitingAgain({ task: id, end }: Extract<SchedulerEvent, { type: "streamEnded" }>): void {
    const task = this.#tasks.get(id)!;
    if (task.phase !== "running" || [...this.#started.keys()].some((name) => name.startsWith(`${id}#`))) return;
    task.phase = "waiting";
    task.waitingSince = this.#clock.now;
    if (end.kind === "broken" && ++task.deaths > 1) this.#broken(`${id} is tried a third time`);
  }

  #checkTimers(): void {
    for (const timer of this.#timers.keys()) {
      const task = this.#tasks.get(timer.slice(timer.indexOf(":") + 1));
      if (task?.phase === "ended") this.#broken(`the timer ${timer} outlives its task`);
    }
  }

  #take(effect: Effect): void {
    this.#note(effect);
    if (effect.type === "setTimer") {
      this.#timers.get(effect.timer)?.();
      const fire = () => {
        this.#timers.delete(effect.timer);
        this.#dispatch({ type: "timerFired", timer: effect.timer });
      };
      this.#timers.set(effect.timer, this.#clock.after(effect.ms, fire));
    } else if (effect.type === "clearTimer") {
      this.#timers.get(effect.timer)?.();
      this.#timers.delete(effect.timer);
    } else if (effect.type === "taskEnded") this.#onEnded(effect);
    else {
      if ("task" in effect) this.#checkTaskEffect(effect);
      this.#checkMachineEffect(effect);
      if (effect.type === "startTask") this.#onStart(effect);
      this.#world.carryOut(effect);
    }
  }

  #onEnded(effect: Extract<Effect, { type: "taskEnded" }>): void {
    const task = this.#tasks.get(effect.task)!;
    task.ends++;
    task.phase = "ended";
    this.#live.delete(effect.task);
    if (effect.error?.code === "NO_NODE" && task.reasons < 1) {
      this.#broken(`${effect.task} was refused without reasons`);
    }
    const name = effect.error ? `${effect.end}:${effect.error.code}` : effect.end;
    this.#ends[name] = (this.#ends[name] ?? 0) + 1;
    if (task.ends > 1) this.#broken(`${effect.task} ended twice`);
    if (effect.end === "failed" && effect.error === undefined && !this.#hasStreamed(effect.task)) {
      this.#broken(`${effect.task} failed without a reason`);
    }
  }

  #hasStreamed(task: string): boolean {
    return this.#trace.some((line) => line.includes(`"startTask","task":"${task}"`));
  }

  /** What is done to a machine must be possible there, and hurt nobody. */
  #checkMachineEffect(effect: Effect): void {
    if (effect.type === "spawnWorker") {
      this.#counts.spawned++;
      // Where there is no choice the hive is asked in any case: it knows better. So are they all that have been away.
      const { node, demand: { model, node: named }, slots = 1 } = effect;
      const isSure = named === undefined && this.#nodes.length > 1 && !this.#isBlurred;
      const wrong = isSure ? this.#world.overCommit(node, model, slots) : undefined;
      if (wrong) this.#broken(wrong);
    } else if (effect.type === "stopWorker") {
      this.#counts.evicted++;
      const held = [...this.#started].find(([, { worker }]) => worker === effect.worker);
      if (held) this.#broken(`${effect.worker} is stopped while ${held[0]} runs there`);
      this.#stopped.add(effect.worker);
    } else if (effect.type === "fetchModel") {
      this.#counts.fetched++;
      const same = this.#world.fetches().find((f) => f.node === effect.node && f.model === effect.model);
      if (same) this.#broken(`${effect.model} is fetched to ${effect.node} twice at once`);
    }
  }

  #checkTaskEffect(effect: Effect & { task: string }): void {
    if (effect.type === "narrate" && effect.narration.action === "task-place") this.#tasks.get(effect.task)!.reasons++;
    if (effect.type !== "stopTask" && this.#tasks.get(effect.task)!.phase === "ended") {
      this.#broken(`${effect.type} for ${effect.task} after its end`);
    }
  }

  #onStart({ task: id, attempt, worker }: Extract<Effect, { type: "startTask" }>): void {
    const task = this.#tasks.get(id)!;
    if (task.reasons < 1) this.#broken(`${id} is started without a reason`);
    const asked = askedBy(task);
    for (const other of this.#live.values()) {
      if (
        other.phase === "waiting" && asked === askedBy(other) && other.wish.kind === "infer" && other.order < task.order
      ) {
        this.#broken(`${id} was started before ${other.wish.id}, which came earlier and asks for the same`);
      }
    }
    task.phase = "running";
    this.#nodeOf.set(worker.id, worker.node);
    const slots = this.#scheduler.workers().find((w) => w.id === worker.id)?.slotsTotal ?? 0;
    this.#started.set(`${id}#${attempt}`, { worker: worker.id, slots });
    const there = [...this.#started.values()].filter((one) => one.worker === worker.id).length;
    if (there > slots) this.#broken(`${there} tasks on ${worker.id}, which has ${slots} slots`);
  }

  #checkNobodyWaitsBesideAFreeSlot(): void {
    const now = this.#clock.now;
    const waiting = [...this.#live.values()].filter((task) =>
      task.phase === "waiting" && now - task.waitingSince >= blindMs
    );
    if (waiting.length === 0) return;
    const models = new Set(waiting.map((task) => task.wish.demand.model));
    for (const worker of this.#world.workers()) {
      if (worker.freeSince === undefined || !models.has(worker.demand.model) || this.#stopped.has(worker.id)) continue;
      const hive = this.#world.hives.get(worker.node)!;
      if (hive.isSilent || !hive.isUp) continue;
      for (const task of waiting) {
        const since = Math.max(worker.freeSince, hive.upSince, task.waitingSince);
        if (now - since < blindMs || !couldUse(task.wish, worker)) continue;
        this.#broken(`${task.wish.id} waits although ${worker.id} has had a free slot for ${now - since} ms`);
      }
    }
  }

  #checkNobodyStaysWithTheDead(): void {
    for (const [name, { worker }] of this.#started) {
      const since = this.#world.deadSince.get(worker);
      const hive = this.#world.hives.get(this.#nodeOf.get(worker)!)!;
      if (since === undefined || hive.isSilent || !hive.isUp) continue;
      const lateMs = this.#clock.now - Math.max(since, hive.upSince);
      if (lateMs > limits.drainMs + 2 * limits.lostWorkerGraceMs) {
        this.#broken(`${name} is still at ${worker}, dead for ${lateMs} ms`);
      }
    }
  }

  #checkEnd(count: number): void {
    for (const [id, task] of this.#tasks) {
      if (task.ends !== 1) this.#broken(`${id} ended ${task.ends} times`);
    }
    if (this.#tasks.size !== count) this.#broken("not every task was submitted");
    const { waiting, running, slotsHeld, spawns } = this.#scheduler.counts();
    if (waiting + running + slotsHeld + spawns > 0) {
      this.#broken(`left behind: ${JSON.stringify(this.#scheduler.counts())}`);
    }
  }

  #note(what: SchedulerEvent | Effect): void {
    if (this.#size && what.type === "hiveStatus") return; // too many to keep
    const line = `${this.#clock.now} ${JSON.stringify(Object.values(what).length ? what : {}, errorAsCode)}`;
    this.#trace.push(line.replace('"type":', ""));
    for (let at = 0; at < line.length; at++) this.#digest = (Math.imul(this.#digest, 31) + line.charCodeAt(at)) | 0;
  }

  #broken(rule: string): never {
    throw new RuleBroken(this.#seed, rule, this.#trace);
  }

  /** Returns everything that has happened, a line each. */
  get trace(): readonly string[] {
    return this.#trace;
  }
}

const modelsOfRuns = ["builtin:tiny", "builtin:tiny", "builtin:tiny", "file:/m.gguf", ...hubModels, missingModel];
const nodesOfTightRuns = [["local", "workstation"], ["local", "workstation", "box"]] as const;
const nodesOfSmallRuns = [["local"], ["local"], ["local", "workstation"], ["local", "workstation", "box"]] as const;

/** Equal for tasks of one client that ask for the same. */
function askedBy({ wish: { client, demand } }: SeenTask): string {
  return JSON.stringify([client, demand]);
}

function couldUse({ demand }: TaskWish, worker: SimulatedWorker): boolean {
  return demand.model === worker.demand.model && (demand.node ?? worker.node) === worker.node &&
    (demand.backend ?? "cpu") === (worker.demand.backend ?? "cpu") && demand.keepS === undefined;
}

function errorAsCode(_key: string, value: unknown): unknown {
  return value instanceof RbeeError ? value.code : value;
}

function bound(random: SeededRandom) {
  return {
    between: (min: number, max: number) => random.between(min, max),
    chance: (probability: number) => random.chance(probability),
    pick: <T>(values: readonly T[]) => random.pick(values),
  };
}

/** Some runs are calm, in others everything breaks. */
function faultsOf(random: SeededRandom): Faults {
  const much = random.pick([0, 0.05, 0.15, 0.4]);
  const often = () => random.chance(0.5) ? much : 0;
  return {
    hiveFails: often(),
    hiveSilentAtStart: often() / 3,
    spawnRefused: often() / 3,
    spawnDies: often(),
    spawnSilent: often() / 3,
    answeredTwice: often(),
    loadFails: often() / 3,
    loadDies: often(),
    loadStuck: often() / 3,
    streamDies: often(),
    goneUntold: often(),
    streamHangs: often(),
    lookUpSilent: often() / 3,
    lookUpFails: often() / 3,
    fetchFails: often() / 3,
    stopIgnored: often() / 3,
  };
}
