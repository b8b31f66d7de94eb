/**
 * Writes into the registry when a node was reached and when not. Apart from the scheduler: a disk that is full or slow
 * must not stop a task.
 *
 * @module
 */
import type { ErrorCode } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Log } from "../runtime/log.ts";
import type { NodeRegistry } from "./nodes.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";

/** Whom a note needs. */
export interface NotesOptions {
  readonly registry: NodeRegistry;
  readonly log: Log;
  readonly hiveUrl: (node: string) => string | undefined;
}

/** Writes such notes. */
export class RegistryNotes {
  readonly #options: NotesOptions;
  /** Nodes whose connection is written down. */
  readonly #noted = new Set<string>();
  /** The last thing to be written of each node, while it waits for its moment. */
  readonly #waiting = new Map<string, () => void>();
  #timer?: number;

  constructor(options: NotesOptions) {
    this.#options = options;
  }

  /** Notes a hive that answers, once for each connection, and one that could not be had. Never throws. */
  take(event: SchedulerEvent): void {
    const { registry, hiveUrl } = this.#options;
    if (event.type === "hiveConnected" || event.type === "nodeRemoved") this.#noted.delete(event.node);
    if (event.type === "hiveFailed" || event.type === "hiveLost") {
      this.#noted.delete(event.node);
      const { node, error } = event;
      this.#later(
        node,
        () => registry[isReached(error.code) ? "noteWithoutHive" : "noteUnreachable"](node, error.message),
      );
    } else if (event.type === "hiveStatus" && !this.#noted.has(event.node)) {
      this.#noted.add(event.node);
      const { node, status } = event;
      const unix = Math.floor(Date.now() / 1_000);
      const hivePort = Number(new URL(hiveUrl(node) ?? "http://localhost").port);
      this.#later(node, () => registry.noteReachable(node, { unix, hivePort, machine: status.machine }));
    }
  }

  /** A durable write waits for the disk, some 10 ms: not in the moment in which the first task's worker is started. */
  #later(node: string, write: () => void): void {
    this.#waiting.set(node, write);
    this.#timer ??= setTimeout(() => this.flush(), limits.registryNoteDelayMs);
  }

  /** Writes now what still waits: a queen who ends with a command may not live as long as the wait. Never throws. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const writes = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const write of writes) {
      try {
        write();
      } catch (error) {
        this.#options.log.warn("the registry was not written", { error });
      }
    }
  }
}

/** Whether the machine answered, and it is its hive that could not be had. */
export function isReached(code: ErrorCode | undefined): boolean {
  return code !== undefined && reached.has(code);
}

const reached: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "NODE_NOT_INSTALLED",
  "HIVE_START_FAILED",
  "HIVE_LEASED",
  "VERSION_MISMATCH",
  "INVALID_API_KEY",
  "SSH_FORWARDING_FORBIDDEN",
  "TLS_NOT_TRUSTED",
  "DISK_FULL",
  "HOME_NOT_WRITABLE",
]);
