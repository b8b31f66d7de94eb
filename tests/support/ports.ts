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

/** Returns a range of ports that is ours until it is disposed. Throws when none is free. */
export function claimPorts(): PortRange {
  const count = Math.floor((portsTo - portsFrom) / portsEach);
  const start = Math.floor(Math.random() * count);
  const used = listeningPorts();
  for (let tried = 0; tried < count; tried++) {
    const index = (start + tried) % count;
    const first = portsFrom + index * portsEach;
    const file = tryHold(index);
    if (!file) continue;
    if (used.some((p) => p >= first && p < first + portsEach)) {
      file.close();
      continue;
    }
    return rangeFrom(first, file);
  }
  throw new Error(`Cannot find ${portsEach} free ports between ${portsFrom} and ${portsTo}`);
}

function tryHold(index: number): Deno.FsFile | undefined {
  const folder = join(temporaryFolder(), "rbee-test-ports");
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

/** Returns every TCP port that something listens on, from the kernel's table. Linux only; empty elsewhere. */
export function listeningPorts(): number[] {
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => {
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch {
      return []; // no IPv6, or not Linux
    }
    return text.split("\n").slice(1).flatMap((line) => {
      const [, local, , state] = line.trim().split(/\s+/);
      return state === portListen ? [parseInt(local.split(":")[1], 16)] : [];
    });
  });
}

/** Returns whether something accepts connections on a port of this machine. */
export async function isListening(port: number): Promise<boolean> {
  try {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.close();
    return true;
  } catch {
    return false;
  }
}
