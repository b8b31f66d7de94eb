/**
 * Which hives are up, and when one that is not is tried again. Pure: it asks for hives through the outbox.
 *
 * @module
 */
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { HiveStatus, NodeSpeed } from "../protocol/hive_status.ts";
import type { Backend, Machine } from "../protocol/node.ts";
import type { NodeView } from "./known.ts";
import type { Outbox } from "./outbox.ts";

interface Hive {
  name: string;
  hive: "down" | "starting" | "up";
  machine?: Machine;
  models?: ReadonlySet<string>;
  speeds?: readonly NodeSpeed[];
  installed?: readonly Backend[];
  defaults?: NodeView["defaults"];
  error?: string;
  code?: ErrorCode;
  /** In a row; chooses the back-off. */
  failures: number;
  upSince: number;
}

/** What a person must mend first: it would be the same in a second, so only the next task asks again. */
const lasting: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "SSH_AUTH_FAILED",
  "SSH_KEY_NOT_FOUND",
  "SSH_HOST_KEY_UNKNOWN",
  "SSH_HOST_KEY_CHANGED",
  "SSH_SHELL_UNUSABLE",
  "SSH_NOT_INSTALLED",
  "SSH_FORWARDING_FORBIDDEN",
  "VERSION_MISMATCH",
  "INVALID_API_KEY",
  "TLS_NOT_TRUSTED",
  "NODE_NOT_INSTALLED",
  "RBEE_HOME_TOO_LONG",
  "CONFIG_INVALID",
]);

const isLasting = (error: RbeeError) => lasting.has(error.code);

/** The hives of all nodes. */
export class Hives {
  readonly #hives = new Map<string, Hive>();
  readonly #out: Outbox;
  readonly #random: () => number;
  #stopped = false;
  #views: readonly NodeView[] = [];

  constructor(nodes: readonly string[], out: Outbox, random: () => number) {
    this.#out = out;
    for (const name of nodes) this.add(name);
    this.#random = random;
  }

  /** Adds a node; nothing is asked of it yet. Does nothing when it is there. */
  add(name: string): void {
    if (!this.#hives.has(name)) this.#hives.set(name, { name, hive: "down", failures: 0, upSince: 0 });
    this.#views = [...this.#hives.values()];
  }

  /** Forgets a node. */
  remove(name: string): void {
    this.#hives.delete(name);
    this.#views = [...this.#hives.values()];
    this.#out.clearTimer(`hive:${name}`);
  }

  /** Returns every node, as placement reads them. */
  views(): readonly NodeView[] {
    return this.#views;
  }

  /** Returns one node, as placement reads it. */
  view(node: string): NodeView | undefined {
    return this.#hives.get(node);
  }

  /** Whether there is such a node. */
  isKnown(node: string): boolean {
    return this.#hives.has(node);
  }

  /** Whether this node's hive answers. */
  isUp(node: string): boolean {
    return this.#hives.get(node)?.hive === "up";
  }

  /** Asks for a node's hive, unless it is there or being asked for. */
  want(node: string): void {
    const hive = this.#hives.get(node);
    if (!hive || hive.hive !== "down" || this.#stopped) return;
    hive.hive = "starting";
    this.#out.emit({ type: "ensureHive", node });
    this.#out.setTimer(`hive:${node}`, limits.hiveEnsureMs);
  }

  /**
   * Notes that a hive has shown what it has; hearing it again changes nothing but what it shows. Returns whether the
   * machine's figures are other ones than before.
   */
  connected(node: string, { machine, speeds, installed, defaults }: HiveStatus): boolean {
    const hive = this.#hives.get(node);
    if (!hive) return false;
    const isFresh = figuresOf(hive.machine) !== figuresOf(machine);
    const told = { speeds: speeds ?? hive.speeds, installed: installed ?? hive.installed };
    Object.assign(hive, { machine, ...told, defaults: defaults ?? hive.defaults });
    if (hive.hive === "up") return isFresh;
    Object.assign(hive, { hive: "up", error: undefined, code: undefined, upSince: this.#out.now });
    this.#out.clearTimer(`hive:${node}`);
    return isFresh;
  }

  /** Takes what a hive said of its free memory when it refused a worker: newer than its figures. In MB. */
  correctMemory(node: string, { available, backend, device }: Readonly<Record<string, unknown>>): void {
    const hive = this.#hives.get(node);
    if (!hive?.machine || typeof available !== "number") return;
    const bytes = available * 1024 * 1024;
    const isThis = (gpu: Machine["gpus"][number]) => gpu.backend === backend && gpu.index === device;
    hive.machine = backend === "cpu" ? { ...hive.machine, memory_available_bytes: bytes } : {
      ...hive.machine,
      gpus: hive.machine.gpus.map((gpu) => isThis(gpu) ? { ...gpu, memory_free_bytes: bytes } : gpu),
    };
  }

  /** Notes which models are on a machine's disk. */
  setModels(node: string, models: ReadonlySet<string>): void {
    const hive = this.#hives.get(node);
    if (hive) hive.models = models;
  }

  /** Notes that a hive could not be had, or is gone; it is tried again after a growing wait. */
  gone(node: string, error: RbeeError): void {
    const hive = this.#hives.get(node);
    if (!hive) return;
    const longUp = hive.hive === "up" && this.#out.now - hive.upSince > limits.hiveReconnectMs.at(-1)!;
    hive.failures = longUp ? 1 : hive.failures + 1;
    hive.hive = "down";
    Object.assign(hive, { error: error.message, code: error.code });
    if (this.#stopped || isLasting(error)) return this.#out.clearTimer(`hive:${node}`);
    const step = Math.min(hive.failures, limits.hiveReconnectMs.length) - 1;
    // Spread, so that many queens or nodes do not knock at the same moment.
    this.#out.setTimer(`hive:${node}`, Math.round(limits.hiveReconnectMs[step] * (1 + 0.25 * this.#random())));
  }

  /** Notes that a hive was ended on purpose: it is down until somebody wants it. */
  released(node: string): void {
    const hive = this.#hives.get(node);
    if (!hive) return;
    Object.assign(hive, { hive: "down", error: undefined, code: undefined, failures: 0 });
    this.#out.clearTimer(`hive:${node}`);
  }

  /** The timer of a node: either its start took too long (returns the error), or it is time to try again. */
  timerFired(node: string): RbeeError | undefined {
    const hive = this.#hives.get(node);
    if (hive?.hive === "starting") {
      return new RbeeError("HIVE_START_FAILED", { message: `Cannot start the hive on ${node}: it did not come up` });
    }
    this.want(node);
  }

  /** Asks for no hive any more. */
  stop(): void {
    this.#stopped = true;
    for (const node of this.#hives.keys()) this.#out.clearTimer(`hive:${node}`);
  }
}

/** What changes when a machine's memory is read anew. */
function figuresOf(machine: Machine | undefined): string {
  if (!machine) return "";
  const gpus = machine.gpus.map((gpu) => gpu.memory_free_bytes);
  return [machine.memory_available_bytes, ...gpus].join(" ");
}
