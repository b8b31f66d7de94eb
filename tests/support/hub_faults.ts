/**
 * What a hub can do wrong, as data: a test puts such faults into a `HubServer`, another process sends them as JSON.
 *
 * @module
 */

/** One fault: where it strikes, how often, and what happens then. */
export interface HubFault {
  /** `api`: listings; `resolve`: a file's address at the hub; `bytes`: wherever the file's bytes come from. */
  readonly on: "api" | "resolve" | "bytes";
  /** A piece of the address; absent: any. */
  readonly path?: string;
  readonly method?: "GET" | "HEAD";
  /** How many requests it strikes; absent: all. */
  readonly times?: number;
  /** Answers with this status and nothing else. */
  readonly status?: number;
  /** Besides or instead of the usual headers; an empty value takes one away. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A body instead of the usual one. */
  readonly body?: string;
  /** Ends the connection before the file's byte of this number. */
  readonly cutAt?: number;
  /** How `cutAt` ends it; `reset` when absent. */
  readonly how?: "reset" | "close";
  /** Sends nothing more from the file's byte of this number on, and keeps the connection. */
  readonly stallAt?: number;
  /** Announces this many bytes more (or fewer) than there are. */
  readonly lengthOff?: number;
  /** Sends other bytes than the file's, from this one on. */
  readonly damageAt?: number;
  /** Goes on after the file's end. */
  readonly isEndless?: boolean;
  /** Sends the whole file, whatever range was asked for. */
  readonly ignoresRange?: boolean;
  readonly redirectTo?: string;
  readonly bytesPerSecond?: number;
  /** Before anything is answered. */
  readonly delayMs?: number;
}

/** One request of the log. */
export interface HubLogEntry {
  /** `hub` or `cdn`. */
  readonly origin: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly range?: string;
  readonly ifRange?: string;
  /** Whether any `Authorization` came along. */
  readonly hasToken: boolean;
  /** What the answer's body had in the end. */
  bytes: number;
  status: number;
}

/** The faults of one hub, counted down as they strike. */
export class HubFaults {
  #armed: { fault: HubFault; left: number }[] = [];

  /** Adds faults. */
  add(...faults: readonly HubFault[]): void {
    this.#armed.push(...faults.map((fault) => ({ fault, left: fault.times ?? Infinity })));
  }

  /** Removes all. */
  clear(): void {
    this.#armed = [];
  }

  /** Returns what strikes a request, all such faults together as one, and counts it. */
  strike(on: HubFault["on"], method: string, path: string): Partial<HubFault> {
    const struck = this.#armed.filter(({ fault, left }) =>
      left > 0 && fault.on === on && (!fault.method || fault.method === method) &&
      (!fault.path || path.includes(fault.path))
    );
    for (const one of struck) one.left--;
    return Object.assign({}, ...struck.map(({ fault }) => fault));
  }
}
