/**
 * Machines with rbee on them, as nodes of a world's queen: what a person has after `setup add-node` and
 * `setup install`, what runs there, and what is left there.
 *
 * @module
 */
import assert from "node:assert/strict";
import { stringify } from "smol-toml";
import type { WorkerRecord } from "../../protocol/worker.ts";
import { basename, join } from "../../runtime/path.ts";
import { Cluster } from "./cluster.ts";
import type { HostOptions } from "./cluster_folder.ts";
import type { ClusterHost } from "./cluster_host.ts";
import { eventually, patience } from "./eventually.ts";
import { lastingModel, modelsFolder } from "./flows.ts";
import type { ProcessEntry } from "./processes.ts";
import type { Finished, Program } from "./program.ts";
import { type Executable, executables, World } from "./world.ts";

/** Nothing runs on a node after this time: 15 s of a lease, and the hive's look at it. */
export const nodeOrphanMs = 20_000;

/** A look at every process costs some milliseconds. */
const lookMs = 200;
const sshPort = 22;
const modelsThere = "models";

/** A machine that a world's queen knows by the name that its host has. */
export class Node {
  readonly world: World;
  readonly host: ClusterHost;

  constructor(world: World, host: ClusterHost) {
    this.world = world;
    this.host = host;
  }

  /** Its name. */
  get name(): string {
    return this.host.name;
  }

  /** Registers it with the world's queen. */
  async register(): Promise<void> {
    const { name, host: { user } } = this;
    const args = ["setup", "add-node", "--name", name, "--ssh-host", name, "--ssh-user", user];
    const { code, stderr } = await this.world.run("rbee", args);
    assert.equal(code, 0, stderr);
  }

  /** Adds keys of `[hive]` to the configuration there; a hive that runs already does not read it again. */
  configureHive(keys: Record<string, unknown>): void {
    writeConfig(this.host, { hive: keys });
  }

  /** Sets tables of the configuration there. */
  configure(tables: Record<string, Record<string, unknown>>): void {
    writeConfig(this.host, tables);
  }

  /** Starts a hive there by hand, as its operator does, and waits until it listens. */
  async startHive(): Promise<Program> {
    const exe = join(this.host.userHome, "rbee/current/rbee-hive");
    const hive = this.host.run([exe, "daemon"], { env: { PATH: "/usr/bin:/bin" } });
    await eventually(() => this.leftovers().some((left) => left.endsWith("hive.json")) || !hive.isRunning, {
      withinMs: 10_000,
      what: `the hive on ${this.name} listens`,
      seen: () => hive.account(),
    });
    assert.ok(hive.isRunning, hive.account());
    return hive;
  }

  /** The workers there, as the queen lists them. */
  async workers(): Promise<WorkerRecord[]> {
    const { json } = await this.world.call({ who: "queen" }, "GET /v2/workers/list");
    const workers = json.workers as unknown as (WorkerRecord & { node: string })[];
    return workers.filter(({ node }) => node === this.name);
  }

  /** Tells the queen in which folder there rbee is installed. */
  async installedAt(path: string): Promise<void> {
    const args = ["setup", "update-node", "--name", this.name, "--install-path", path];
    const { code, stderr } = await this.world.run("rbee", args);
    assert.equal(code, 0, stderr);
  }

  /** Returns the reference by which its hive finds one of this machine's test models. */
  modelThere(reference: string): string {
    return `file:${join(this.host.userHome, modelsThere, basename(reference))}`;
  }

  /** Starts `rbee infer` on it and returns it when its first tokens have come. */
  async inferMidStream({ tokens = 3_500 } = {}): Promise<Program> {
    const model = this.modelThere(await lastingModel());
    const args = ["infer", "--node", this.name, "--model", model, "--prompt", "a long story", "--ignore-eos"];
    const program = this.world.start("rbee", [...args, "--max-tokens", String(tokens)]);
    await program.sees(/\S[\s\S]{20,}/, { stream: "stdout", withinMs: 20_000 });
    return program;
  }

  /** Runs a short inference on it. Its model has random weights: left to chance it may say nothing at all. */
  async infer(): Promise<Finished> {
    const model = this.modelThere(await lastingModel());
    const args = ["infer", "--node", this.name, "--model", model, "--prompt", "hello", "--max-tokens", "8"];
    return await this.world.run("rbee", [...args, "--ignore-eos", "--temperature", "0"], { withinMs: 30_000 });
  }

  /** Asserts that the next inference on it works. */
  async nextInferWorks(): Promise<void> {
    const { code, stdout, stderr } = await this.infer();
    assert.equal(code, 0, `the next infer on ${this.name}: ${stderr}`);
    assert.match(stdout, /\S/, `the next infer on ${this.name} writes text`);
  }

  /** Its one process of a program. */
  one(program: Executable): ProcessEntry {
    const found = this.host.rbeeProcesses(program);
    assert.equal(found.length, 1, `one ${program} on ${this.name}: ${found.map((p) => p.args.join(" ")).join("; ")}`);
    return found[0];
  }

  /** The world's process that holds the SSH connection to it. */
  sshMaster(): ProcessEntry {
    const found = this.world.processes().filter(({ args }) =>
      args.includes("ControlMaster=yes") && args.some((arg) => arg.endsWith(`@${this.name}`))
    );
    assert.equal(found.length, 1, `one connection to ${this.name}: ${found.map((p) => p.args.join(" ")).join("; ")}`);
    return found[0];
  }

  /** What runs on it: rbee's processes, and what listens but its sshd. */
  living(): string[] {
    return [
      ...this.host.rbeeProcesses().map((p) => `${this.name}: process ${p.pid} ${p.args.join(" ").slice(0, 120)}`),
      ...this.host.listeners().filter(({ port }) => port !== sshPort).map(({ port }) => `${this.name}: port ${port}`),
    ];
  }

  /** What is left on it: what runs, and files of running daemons. */
  leftovers(): string[] {
    const home = join(this.host.home, ".rbee");
    return [
      ...this.living(),
      ...(namesIn(home).includes("hive.json") ? [`${this.name}: hive.json`] : []),
      ...namesIn(join(home, "workers")).map((name) => `${this.name}: workers/${name}`),
    ];
  }

  /** Resolves when nothing runs on it. Throws with what does, after `withinMs`. */
  async nothingRuns(withinMs: number = nodeOrphanMs): Promise<void> {
    await eventually(() => this.living().length === 0, {
      withinMs: withinMs / patience,
      what: `nothing runs on ${this.name} after ${withinMs / 1_000} s`,
      everyMs: lookMs,
      seen: () => this.living().join(", "),
    });
  }

  /** Returns what its programs have logged, for the report of a failure. */
  report(): string {
    const logs = join(this.host.home, ".rbee/logs");
    const texts = namesIn(logs).map((name) =>
      `--- ${this.name}: logs/${name}\n${Deno.readTextFileSync(join(logs, name)).slice(-3_000)}`
    );
    return [...texts, `--- ${this.name}: left: ${this.leftovers().join(", ") || "nothing"}`].join("\n");
  }
}

/** What such a machine is to be like. */
export interface NodeHost extends HostOptions {
  /** Nothing of rbee is installed there. */
  readonly isBare?: boolean;
}

/** What a hive on these machines is configured with: these tests start many, and none of them is about speed. */
const quick = { workers: { threads: 1 }, hive: { drain_s: 3 } };
/** What a queen of these tests is configured with: whoever is asked to end does not wait for long answers. */
const quickQueen = { queen: { drain_s: 3 }, remote: { connect_timeout_s: 3 }, ...quick };

/** Machines with this build and the test models on them, and the worlds of those who use them. */
export class NodeCluster {
  readonly cluster: Cluster;
  readonly worlds: World[] = [];
  readonly #nodes: Node[] = [];

  private constructor(world: World, cluster: Cluster) {
    this.cluster = cluster;
    this.#take(world);
  }

  /** Returns machines that nobody has registered yet, which end with that world. Throws where `canRunCluster` is false. */
  static async create(world: World, hosts: readonly (string | NodeHost)[]): Promise<NodeCluster> {
    const cluster = await Cluster.create(world, { hosts: hosts.map(withRbee) });
    for (const host of cluster.hosts) writeConfig(host, {});
    const nodes = new NodeCluster(world, cluster);
    world.atEnd(() => nodes.#end());
    return nodes;
  }

  /** The first of its worlds. */
  get world(): World {
    return this.worlds[0];
  }

  /** Adds a world: another person's home, ports and queen, with the same SSH keys. */
  addWorld(): World {
    return this.#take(new World());
  }

  /** Returns a machine that a world (the first one) is to know. */
  node(name: string, world: World = this.world): Node {
    const node = new Node(world, this.cluster.host(name));
    this.#nodes.push(node);
    return node;
  }

  /** Registers a machine with the queen of a world (the first one). */
  async add(name: string, world: World = this.world): Promise<Node> {
    const node = this.node(name, world);
    await node.register();
    return node;
  }

  /** Returns a machine as the node of a further world, the same one each time. */
  async secondOf({ host, world: first }: Node): Promise<Node> {
    const known = this.#nodes.find((node) => node.host === host && node.world !== first);
    return known ?? await this.add(host.name, this.addWorld());
  }

  /** Ends the queen of a world (the first one), and asserts that nothing is left, here and on its nodes. */
  async down(world: World = this.world): Promise<void> {
    await world.down();
    await this.nothingLeft(world);
  }

  /** Asserts that nothing is left of a world and on its nodes. */
  async nothingLeft(world: World = this.world, withinMs = 10_000): Promise<void> {
    const left = () => [world, ...this.#nodes.filter((n) => n.world === world)].flatMap((one) => one.leftovers());
    await eventually(() => left().length === 0, {
      withinMs,
      what: "nothing is left",
      everyMs: lookMs,
      seen: () => left().join(", "),
    });
  }

  /** What happened, for the report of a failure. */
  report(): string {
    return [...this.worlds, ...this.#nodes].map((one) => one.report()).join("\n");
  }

  async #end(): Promise<void> {
    for (const world of this.worlds.slice(1)) await world[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }

  #take(world: World): World {
    world.env.PATH = `${this.cluster.ssh.bin}:${world.environment().PATH}`;
    world.configure(quickQueen);
    this.worlds.push(world);
    return world;
  }
}

/** Runs a test with such machines; a failure tells what happened on them. */
export async function onNodes(
  hosts: readonly (string | NodeHost)[],
  test: (nodes: NodeCluster) => Promise<void>,
): Promise<void> {
  await using world = new World();
  const nodes = await NodeCluster.create(world, hosts);
  try {
    await test(nodes);
  } catch (error) {
    if (error instanceof Error) error.message += `\n${nodes.report()}`; // the runner prints it, unlike the stack
    throw error;
  }
}

/** Adds to a machine what `setup install` brings there (unless it is bare), and the models. */
function withRbee(wanted: string | NodeHost): HostOptions {
  const { isBare = false, ...host } = typeof wanted === "string" ? { name: wanted } : wanted;
  const rbee: Record<string, string> = isBare ? {} : { "rbee/current": executables };
  return { ...host, home: { ...rbee, [modelsThere]: modelsFolder(), ...host.home } };
}

function writeConfig(host: ClusterHost, { hive = {}, ...more }: Record<string, Record<string, unknown>>): void {
  const path = join(host.home, ".config/rbee/config.toml");
  Deno.mkdirSync(join(path, ".."), { recursive: true });
  Deno.writeTextFileSync(path, stringify({ ...quick, ...more, hive: { ...quick.hive, ...hive } }));
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map((entry) => entry.name);
  } catch {
    return []; // it is not there
  }
}
