/**
 * A full connect scan, as somebody on the network does it.
 *
 * @module
 */

const portMax = 65_535;
/** With more than 128 at once, Deno 2.7.11 never finishes some of the first. */
const atOnceMax = 64;
/** Whoever does not answer within this time is silent: a firewall, or a pulled cable. */
const silentAfterMs = 2_000;

/** What a scan found. */
export interface Scan {
  /** Ports that accepted a connection. */
  readonly open: number[];
  /** Ports that refused one: proof that the host was there and the scan reached it. */
  readonly refused: number;
  /** Ports that did not answer. */
  readonly silent: number;
}

/** Connects to every TCP port of an address (or to those in `ports`); some seconds for all of them. */
export async function scanPorts(address: string, ports: Iterable<number> = everyPort()): Promise<Scan> {
  const scan = { open: [] as number[], refused: 0, silent: 0 };
  const left = ports[Symbol.iterator]();
  const worker = async () => {
    for (let next = left.next(); !next.done; next = left.next()) {
      const found = await tryPort(address, next.value);
      if (found === "open") scan.open.push(next.value);
      else scan[found]++;
    }
  };
  await Promise.all(Array.from({ length: atOnceMax }, worker));
  scan.open.sort((a, b) => a - b);
  return scan;
}

function* everyPort(): Generator<number> {
  for (let port = 1; port <= portMax; port++) yield port;
}

async function tryPort(hostname: string, port: number): Promise<"open" | "refused" | "silent"> {
  try {
    const signal = AbortSignal.timeout(silentAfterMs);
    const connection = await Deno.connect({ hostname, port, signal });
    connection.close();
    return "open";
  } catch (error) {
    return error instanceof Deno.errors.ConnectionRefused ? "refused" : "silent";
  }
}
