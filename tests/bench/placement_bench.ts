/**
 * What the queen's decisions cost, and what they are worth: time for a decision in pools of 100 and 1,000 machines, and
 * tokens per second of a simulated pool of fast and slow machines, against giving each task to the least busy worker.
 *
 * @module
 */
import { cpuUsage } from "node:process";
import type { HiveStatus } from "../../protocol/hive_status.ts";
import type { ModelFacts } from "../../protocol/model.ts";
import type { WorkerRecord } from "../../protocol/worker.ts";
import { Scheduler } from "../../queen/scheduler.ts";
import type { Effect, SchedulerEvent } from "../../queen/scheduler_messages.ts";
import { FakeClock } from "../sim/fake_clock.ts";
import { SeededRandom } from "../sim/seeded_random.ts";
import { percentile, say, sayTable } from "./figures.ts";

const mb = 1024 * 1024;
const models = Array.from({ length: 20 }, (_none, at) => `hf:org/model-${at}:Q4_0`);
const coldModels = Array.from({ length: 20 }, (_none, at) => `hf:org/cold-${at}:Q4_0`);

const factsOf = (ref: string): ModelFacts => ({
  ...{ ref, size_bytes: 800 * mb, digest: null, quantization: "Q4_0", shape: null },
});

/** Measures and prints. */
export function run(): Promise<void> {
  const rows: (string | number)[][] = [["decisions", "µs median", "µs 95 %", "per second", "per CPU second", "goal"]];
  for (const [hives, workersEach] of [[100, 4], [1_000, 5]] as const) {
    const goal = hives === 100 ? "95 % in 500 µs" : "10,000 per second";
    for (const kind of ["warm", "cold", "mixed"] as const) {
      rows.push([`${kind}, ${hives} hives, ${hives * workersEach} workers`, ...decide(hives, workersEach, kind), goal]);
    }
  }
  say(
    "\nplacement: from a task's arrival to the decision where it goes; cold: no worker has the model, all machines are compared",
  );
  sayTable(rows);
  sayGoodput();
  return Promise.resolve();
}

/** A pool whose workers have loaded, each one of the models. */
function pool(hives: number, workersEach: number): Scheduler {
  const nodes = Array.from({ length: hives }, (_none, at) => `node-${at}`);
  const random = new SeededRandom(1);
  const scheduler = new Scheduler({ nodes, loadMs: 1e6, spawnMs: 1e6, random: () => random.next() });
  nodes.forEach((node, at) => {
    const workers = Array.from(
      { length: workersEach },
      (_none, n) => recordOf(`${node}-w${n}`, models[(at * 7 + n) % models.length]),
    );
    scheduler.handle({ type: "hiveStatus", node, status: statusOf(node, workers, 10 + at % 4 * 10) }, 0);
  });
  for (const model of coldModels) {
    const told = { model, facts: factsOf(model), onDisk: false, downloadBytes: 800 * mb };
    scheduler.handle({ type: "modelKnown", node: nodes[0], ...told }, 0);
  }
  return scheduler;
}

function recordOf(id: string, model: string, slots = 2): WorkerRecord {
  return {
    ...{ id, url: "http://127.0.0.1:8081", port: 8081, model_ref: model, backend: "cpu", device: 0, state: "idle" },
    ...{ slots_total: slots, slots_available: slots, last_activity_unix: 0, failed_health_checks: 0, pid: 1 },
    memory_bytes: 1_000 * mb,
  };
}

function statusOf(hostname: string, workers: WorkerRecord[], decode: number): HiveStatus {
  return {
    version: "0.1.0",
    machine: {
      ...{ hostname, platform: "linux-x64", cpu_cores: 8, gpus: [], disk_free_bytes: 1e12 },
      ...{ memory_total_bytes: 64_000 * mb, memory_available_bytes: 32_000 * mb },
    },
    workers,
    models: workers.map((w) => factsOf(w.model_ref)),
    speeds: [{
      ...{ backend: "cpu", device: 0, size_class: Math.floor(Math.log2(800 * mb)), tasks: 9 },
      ...{ prefill_tokens_per_second: 4 * decode, decode_tokens_per_second: decode },
    }],
  };
}

const times = 4_000;

/** Returns microseconds, median and 95 %, and decisions per second of time and of CPU time. */
function decide(hives: number, workersEach: number, kind: "warm" | "cold" | "mixed"): number[] {
  const scheduler = pool(hives, workersEach);
  const random = new SeededRandom(2);
  const took: number[] = [];
  let cpu = cpuUsage();
  for (let n = -times / 4; n < times; n++) {
    const isCold = kind === "cold" || kind === "mixed" && random.chance(0.1);
    const model = random.pick(isCold ? coldModels : models);
    const id = `task-${n}`;
    const wish = { id, kind: "infer" as const, demand: { model }, waitMs: 7_000, timeoutMs: 60_000, answerTokens: 100 };
    if (n === 0) cpu = cpuUsage();
    const since = performance.now();
    const effects = scheduler.handle({ type: "taskSubmitted", wish }, n + times);
    if (n >= 0) took.push(1_000 * (performance.now() - since));
    const [start] = effects.flatMap((e) => e.type === "startTask" ? [e] : []);
    const end: SchedulerEvent = start
      ? { type: "streamEnded", task: id, attempt: start.attempt, end: { kind: "done", failed: false } }
      : { type: "taskCancelled", task: id, gently: false };
    scheduler.handle(end, n + times);
  }
  const all = took.reduce((sum, one) => sum + one, 0);
  // Both ends of each task, and what the garbage collector does beside: other programs on the machine do not count.
  const { user, system } = cpuUsage(cpu);
  const perSecond = (microseconds: number) => Math.round(1e6 * took.length / microseconds);
  return [percentile(took, 0.5), percentile(took, 0.95), perSecond(all), perSecond(user + system)];
}

const fast = 80;
const slow = 20;
const each = 8;
const model = models[0];

/** Clients that each ask again as soon as they have their answer, on as many fast machines as slow ones. */
function sayGoodput(): void {
  const rows: (string | number)[][] = [["clients", "tokens/s by rbee", "least busy", "ratio", "goal"]];
  for (const clients of [4, 8, 12, 16]) {
    const [ours, theirs] = [byScheduler(clients), byLeastBusy(clients)];
    rows.push([`${clients} on ${2 * each} slots`, ours, theirs, ours / theirs, "1.5"]);
  }
  say(`\nplacement: a simulated pool of ${each} machines at ${fast} tokens/s and ${each} at ${slow}, one slot each`);
  sayTable(rows);
}

const speedOf = (machine: number) => machine < each ? fast : slow;
const simulatedMs = 600_000;

/** Runs clients against a policy. Returns tokens per second. */
function goodput(
  clients: number,
  policy: (parts: { clock: FakeClock; done: (client: number) => void }) => (client: number, tokens: number) => void,
): number {
  const clock = new FakeClock();
  const random = new SeededRandom(3);
  let tokens = 0;
  const asked = new Map<number, number>();
  const ask = (client: number) => {
    asked.set(client, random.between(50, 200));
    submit(client, asked.get(client)!);
  };
  const submit = policy({
    clock,
    done: (client) => {
      tokens += asked.get(client)!;
      ask(client);
    },
  });
  for (let client = 0; client < clients; client++) clock.after(random.between(0, 1_000), () => ask(client));
  while (clock.step(simulatedMs)) { /* everything happens in entries of the clock */ }
  return 1_000 * tokens / simulatedMs;
}

function byScheduler(clients: number): number {
  return goodput(clients, ({ clock, done }) => {
    const nodes = Array.from({ length: 2 * each }, (_none, at) => `node-${at}`);
    const random = new SeededRandom(4);
    const scheduler = new Scheduler({ nodes, loadMs: 1e9, spawnMs: 1e9, random: () => random.next() });
    const wanted = new Map<string, { client: number; tokens: number }>();
    const take = (effects: Effect[]) => effects.forEach((e) => e.type === "startTask" ? start(e) : undefined);
    const start = ({ task, attempt, worker }: Extract<Effect, { type: "startTask" }>) => {
      const { client, tokens } = wanted.get(task)!;
      clock.after(1_000 * tokens / speedOf(nodes.indexOf(worker.node)), () => {
        take(scheduler.handle({ type: "streamEnded", task, attempt, end: { kind: "done", failed: false } }, clock.now));
        done(client);
      });
    };
    nodes.forEach((node, at) =>
      take(
        scheduler.handle({
          type: "hiveStatus",
          node,
          status: statusOf(node, [recordOf(`w-${at}`, model, 1)], speedOf(at)),
        }, 0),
      )
    );
    let made = 0;
    return (client, tokens) => {
      const id = `task-${made++}`;
      wanted.set(id, { client, tokens });
      const wish = { id, kind: "infer" as const, demand: { model }, waitMs: 1e9, timeoutMs: 1e9, answerTokens: tokens };
      take(scheduler.handle({ type: "taskSubmitted", wish }, clock.now));
    };
  });
}

/** The worker with the fewest tasks, of equals any; who finds none free waits in line. */
function byLeastBusy(clients: number): number {
  return goodput(clients, ({ clock, done }) => {
    const random = new SeededRandom(4);
    const free = new Set(Array.from({ length: 2 * each }, (_none, at) => at));
    const line: [client: number, tokens: number][] = [];
    const next = () => {
      while (free.size > 0 && line.length > 0) {
        const machine = random.pick([...free]);
        const [client, tokens] = line.shift()!;
        free.delete(machine);
        clock.after(1_000 * tokens / speedOf(machine), () => {
          free.add(machine);
          next();
          done(client);
        });
      }
    };
    return (client, tokens) => {
      line.push([client, tokens]);
      next();
    };
  });
}
