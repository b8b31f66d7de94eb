/**
 * A range of ports for each scenario, so that many can run at once, also from several `deno test` processes: a file
 * for each range, held by a lock that the kernel frees however its holder ends.
 *
 * @module
 */
import { join } from "../../runtime/path.ts";
import { temporaryFolder } from "./temporary.ts";

/** A range of ports that nobody else has. */
export interface PortRange extends Disposable {
  readonly first: number;
  readonly last: number;
  readonly queen: number;
  readonly hive: number;
  readonly workerStart: number;
  readonly workerEnd: number;
}

/** Below the ports that Linux gives to outgoing connections (32768 and up): these would be taken by chance. */
const portsFrom = 20_000;
const portsTo = 32_000;
const portsEach = 24;
const portListen = "0A";
const portTimeWait = "06";
/** 127.0.0.0/8, ::1 and ::ffff:127.0.0.0/104, each four bytes in this machine's order. */
const loopback = /^(0{16}FFFF0000)?[0-9A-F]{6}7F$|^0{24}01000000$/;

/** Returns a range of ports that is ours until it is disposed. Throws when none is free. */
export function claimPorts(): PortRange {
  const count = Math.floor((portsTo - portsFrom) / portsEach);
  const start = Math.floor(Math.random() * count);
  const used = listeningPorts();
  for (let tried = 0; tried < count; tried++) {
    const index = (start + tried) % count;
    const first = portsFrom + index * portsEach;
    const file = tryHold(join(temporaryFolder(), "rbee-test-ports"), index);
    if (!file) continue;
    if (used.some((p) => p >= first && p < first + portsEach)) {
      file.close();
      continue;
    }
    return rangeFrom(first, file);
  }
  throw new Error(`Cannot find ${portsEach} free ports between ${portsFrom} and ${portsTo}`);
}

/**
 * Returns the locked file of a number in a folder, undefined when somebody else holds it. Whoever closes the file, or
 * ends in any way, lets go.
 */
export function tryHold(folder: string, index: number): Deno.FsFile | undefined {
  Deno.mkdirSync(folder, { recursive: true });
  const file = Deno.openSync(join(folder, String(index)), { create: true, write: true });
  if (file.tryLockSync(true)) return file;
  file.close();
}

function rangeFrom(first: number, file: Deno.FsFile): PortRange {
  return {
    first,
    last: first + portsEach - 1,
    queen: first,
    hive: first + 1,
    workerStart: first + 4,
    workerEnd: first + portsEach - 1,
    [Symbol.dispose]: () => file.close(),
  };
}

/** A TCP port that something listens on. */
export interface Listener {
  readonly port: number;
  /** Only this machine itself can connect to it. */
  readonly isLoopback: boolean;
}

/** Returns every TCP port that something listens on, from the kernel's table. Linux only; empty elsewhere. */
export function listeningPorts(): number[] {
  return listenersBeside("self").map(({ port }) => port);
}

/** Returns what listens in the network namespace of a process. */
export function listenersBeside(pid: number | "self"): Listener[] {
  return socketsBeside(pid).flatMap(([, local, , state]) => {
    const [address, port] = local.split(":");
    return state === portListen ? [{ port: parseInt(port, 16), isLoopback: loopback.test(address) }] : [];
  });
}

/**
 * Returns how many connections to other machines the network namespace of a process has, those included that are ending;
 * not those that have ended on both sides, of which the kernel keeps the numbers for a minute.
 */
export function connectionsBeside(pid: number): number {
  const counts = ([, local, , state]: string[]) =>
    state !== portListen && state !== portTimeWait && !loopback.test(local.split(":")[0]);
  return socketsBeside(pid).filter(counts).length;
}

/** The kernel's table, a line for each TCP socket, in columns. */
function socketsBeside(pid: number | "self"): string[][] {
  return [`/proc/${pid}/net/tcp`, `/proc/${pid}/net/tcp6`].flatMap((path) => {
    try {
      return Deno.readTextFileSync(path).trim().split("\n").slice(1).map((line) => line.trim().split(/\s+/));
    } catch {
      return []; // no IPv6, or not Linux
    }
  });
}

/** Returns whether something accepts connections on a port, of this machine's loopback when no address is given. */
export async function isListening(port: number, hostname = "127.0.0.1"): Promise<boolean> {
  try {
    const connection = await Deno.connect({ hostname, port });
    connection.close();
    return true;
  } catch {
    return false;
  }
}
