/**
 * What placement is asked and what it looks at: tasks' demands, machines, workers, and what is on its way. Plain values.
 *
 * @module
 */
import type { ErrorCode, RbeeError } from "../protocol/error.ts";
import type { NodeSpeed } from "../protocol/hive_status.ts";
import type { ModelFacts } from "../protocol/model.ts";
import type { Backend, Machine } from "../protocol/node.ts";
import type { WorkerState } from "../protocol/worker.ts";

/** What a task asks of its worker. An absent field means: any. */
export interface Demand {
  /** Canonical reference: aliases are resolved before a task reaches the scheduler. */
  readonly model: string;
  readonly node?: string;
  readonly backend?: Backend;
  readonly device?: number;
  /** Tokens that one slot must hold. */
  readonly ctx?: number;
  /** Only of `workers start`: the idle time-out that the worker must have been started with. */
  readonly keepS?: number;
}

/** What else is known of a task that is to be placed. */
export interface Job {
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** Slots of a worker that must be started for it. */
  readonly slots?: number;
  /** Hashes of the prompt's beginnings, see `prefixes.ts`. */
  readonly blocks?: readonly number[];
  /** How many tasks wait before it for the same model. */
  readonly ahead?: number;
  /** Machines that this task failed on, and why. */
  readonly avoid?: ReadonlyMap<string, RbeeError>;
  /** It has long waited for memory: only tasks that came before this one keep an idle worker from making room for it. */
  readonly claim?: number;
}

/** What placement knows of a worker. */
export interface WorkerView {
  readonly id: string;
  readonly node: string;
  readonly model: string;
  /** Undefined: its hive has not shown it yet and chose by itself. */
  readonly backend?: Backend;
  readonly device?: number;
  readonly state: WorkerState;
  readonly slotsTotal: number;
  /** Slots that tasks of ours hold. Somebody else's are unknown: the worker refuses then, see `refuses`. */
  readonly slotsHeld: number;
  readonly ctx?: number;
  /** What it was asked for at its start: it has less only when the model cannot do more. */
  readonly ctxAsked?: number;
  readonly keepS?: number;
  /** It said that all slots are busy, and nothing has happened since that would change this. */
  readonly refuses: boolean;
  /** It broke a stream or was given up: not to be used until its hive has had time to look. */
  readonly suspect: boolean;
  /** It was asked to end, to make room. */
  readonly leaving?: boolean;
  /** When a slot of it is expected to be free, in the scheduler's milliseconds; undefined: nobody knows. */
  readonly freeAt?: number;
  /** When it was last used: the smaller the longer ago. */
  readonly lastUsed?: number;
  /** What it holds, and how much of that the machine's figures do not show yet. */
  readonly memory?: Held;
}

/** Memory in bytes: of the machine, and of its worker's GPU. */
export interface Bytes {
  readonly host: number;
  readonly device: number;
}

/** What a worker holds. */
export interface Held extends Bytes {
  /** What the machine's figures do not show yet. */
  readonly unseen: Bytes;
}

/** A worker that is on its way: its hive has not answered yet. */
export interface SpawnView {
  readonly id: string;
  readonly node: string;
  readonly demand: Demand;
  /** What it will take, where that is known. */
  readonly takes?: Takes;
}

/** What something will take, and where. */
export interface Takes extends Bytes {
  readonly backend: Backend;
  readonly deviceIndex: number;
}

/** A model that is on its way to a machine's disk. */
export interface FetchView {
  readonly id: string;
  readonly node: string;
  readonly model: string;
  readonly bytesLeft: number;
  readonly takes?: Takes;
}

/** What placement knows of a node. */
export interface NodeView {
  readonly name: string;
  readonly hive: "down" | "starting" | "up";
  readonly machine?: Machine;
  /** Why its hive is down. */
  readonly error?: string;
  readonly code?: ErrorCode;
  /** References of the models on its disk. */
  readonly models?: ReadonlySet<string>;
  /** What it was measured to compute with. */
  readonly speeds?: readonly NodeSpeed[];
  /** Backends for which it has a worker program; undefined: nobody knows. */
  readonly installed?: readonly Backend[];
  /** What a worker gets there of which nobody says it. */
  readonly defaults?: { readonly slots: number; readonly ctx?: number };
}

/** Free memory of one kind on a machine, in bytes. */
export interface Room {
  readonly total: number;
  /** Not taken, nor promised to somebody. */
  readonly free: number;
  /** What workers hold that were asked to end. */
  readonly leaving: number;
  /** What idle workers hold. */
  readonly idle: number;
  /** What busy workers hold. */
  readonly busy: number;
}

/** Free memory of a machine. */
export interface Rooms {
  readonly host: Room;
  /** By `backend:index`. */
  readonly devices: ReadonlyMap<string, Room>;
  /** How many workers share it. */
  readonly workers: number;
}

/** Everything that is known when a task is placed. */
export interface Known {
  readonly nodes: readonly NodeView[];
  readonly spawns: readonly SpawnView[];
  readonly fetches: readonly FetchView[];
  /** In the scheduler's milliseconds. */
  readonly now: number;
  /** Bytes per second of the downloads that were seen. */
  readonly fetchBytesPerSecond: number;
  /** In [0, 1): chooses between equals. */
  readonly tie: number;
  /** Returns one node. */
  node(name: string): NodeView | undefined;
  /** Returns the workers with that model. */
  workersOf(model: string): readonly WorkerView[];
  /** Returns the workers of a machine. */
  workersOn(node: string): readonly WorkerView[];
  /** Returns the memory of a machine; undefined when its machine is unknown. */
  rooms(node: string): Rooms | undefined;
  /** Returns what is known of a model. */
  facts(model: string): ModelFacts | undefined;
  /** Whether a waiting task could take that worker; `before`: one that came before the task with that number. */
  isWanted(worker: WorkerView, before?: number): boolean;
  /** Returns how many leading blocks of a prompt a worker has seen lately. */
  cachedBlocks(worker: string, blocks: readonly number[]): number;
}

/** How a worker is to be started. */
export interface SpawnChoice {
  readonly node: string;
  /** Named only where the hive would choose another one. */
  readonly backend?: Backend;
  readonly device?: number;
  readonly takes?: Takes;
  /** Idle workers that must end before. */
  readonly evicts: readonly string[];
}

/** What to do with a task, and why. */
export type Placement =
  & (
    | { readonly kind: "reuse"; readonly worker: string }
    | { readonly kind: "await-loading"; readonly worker: string }
    | { readonly kind: "await-spawn"; readonly spawn: string }
    | { readonly kind: "await-fetch"; readonly fetch: string }
    | {
      readonly kind: "await-slot";
      readonly workers: readonly string[];
      readonly slotsTotal: number;
      /** Until a slot is expected to be free for whoever is the next, in milliseconds. */
      readonly expectedMs?: number;
      /** How long one task is expected to hold a slot. */
      readonly restMs?: number;
      /** A wait that is expected to be longer than this is better spent starting a worker elsewhere. */
      readonly coldMs?: number;
      /** What ends the task that waited in vain, where that is not that all slots are busy. */
      readonly error?: RbeeError;
    }
    | { readonly kind: "start-hive"; readonly node: string }
    | { readonly kind: "look-up"; readonly node: string }
    | {
      readonly kind: "fetch";
      readonly node: string;
      /** Another machine that has it. */
      readonly from?: string;
      readonly takes?: Takes;
      readonly bytes: number;
    }
    | ({ readonly kind: "spawn" } & SpawnChoice)
    | { readonly kind: "refuse"; readonly error: RbeeError }
  )
  & { readonly reasons: readonly string[] };
