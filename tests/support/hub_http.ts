/**
 * HTTP/1.1 written by hand for a server that misbehaves on purpose: what it sends, how much of it, and how the
 * connection ends is all up to whoever answers.
 *
 * @module
 */

/** A request as it came. */
export interface HubRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** The body of a POST. */
  readonly body: string;
}

/** The writing end of one answer. */
export interface HubReply {
  /** Sends the status line and the headers. */
  head(status: number, headers?: Readonly<Record<string, string>>): Promise<void>;
  /** Sends bytes as they are. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the connection: `reset` as a machine that vanished (RST), `close` as one that was ended in order. */
  end(how: "reset" | "close"): void;
  /** Resolves when the other side has closed the connection, or it was ended here. */
  gone(): Promise<void>;
}

/** Answers one request. The connection is kept for the next one unless the reply was ended. */
export type HubHandler = (request: HubRequest, reply: HubReply) => Promise<void>;

const headBytesMax = 64 * 1024;
const bodyBytesMax = 1024 * 1024;

/** Something that listens, and answers by `handler`; disposing ends it with all of its connections. */
export class HubListener implements Disposable {
  readonly port: number;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.TcpConn>();
  #isClosed = false;

  constructor(handler: HubHandler, options: { hostname?: string; port?: number } = {}) {
    this.#listener = Deno.listen({ hostname: options.hostname ?? "127.0.0.1", port: options.port ?? 0 });
    this.port = this.#listener.addr.port;
    void this.#accept(handler);
  }

  async #accept(handler: HubHandler): Promise<void> {
    try {
      for await (const connection of this.#listener) void this.#serve(connection, handler);
    } catch {
      // it was closed
    }
  }

  async #serve(connection: Deno.TcpConn, handler: HubHandler): Promise<void> {
    this.#connections.add(connection);
    try {
      connection.setNoDelay(true);
      for (let ended = false; !ended;) {
        const request = await readRequest(connection);
        if (!request) break;
        await handler(request, {
          head: (status, headers = {}) => writeAll(connection, headText(status, headers)),
          write: (bytes) => writeAll(connection, bytes),
          end: (how) => {
            ended = true;
            this.#end(connection, how);
          },
          gone: async () => {
            ended = true;
            while (await connection.read(new Uint8Array(1)).catch(() => null) !== null);
          },
        });
        ended ||= request.headers.get("connection") === "close";
        if (!ended && request.body === "") await readLast(connection);
      }
    } catch {
      // whoever asked has left
    } finally {
      this.#end(connection, "reset");
    }
  }

  #end(connection: Deno.TcpConn, how: "reset" | "close"): void {
    if (!this.#connections.delete(connection)) return;
    // The last byte of the request is still unread (see `readRequest`): to close now resets the connection.
    if (how === "reset") return connection.close();
    void readLast(connection).then(() => connection.closeWrite()).catch(() => {}).then(() => connection.close());
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener.close();
    for (const connection of [...this.#connections]) this.#end(connection, "reset");
  }
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

function headText(status: number, headers: Readonly<Record<string, string>>): Uint8Array {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return new TextEncoder().encode(`HTTP/1.1 ${status} -\r\n${lines.join("")}\r\n`);
}

/**
 * Returns the next request, with a body or without the very last byte of its head, which stays unread: a socket that is
 * closed with something unread resets its connection, and Deno has no other way to that. Undefined when the other side
 * closed.
 */
async function readRequest(connection: Deno.TcpConn): Promise<HubRequest | undefined> {
  const head = new Uint8Array(headBytesMax);
  let length = 0;
  for (const one = new Uint8Array(1); !endsHead(head, length);) {
    if (length === head.length || await connection.read(one) === null) return undefined;
    head[length++] = one[0];
  }
  const [first, ...lines] = new TextDecoder().decode(head.subarray(0, length)).trim().split("\r\n");
  const [method, target] = first.split(" ");
  const headers = new Map(lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  }));
  return { method, target, headers, body: await readBody(connection, Number(headers.get("content-length") ?? 0)) };
}

/** A head ends with CR LF CR LF; the LF stays unread. */
function endsHead(bytes: Uint8Array, length: number): boolean {
  return length >= 3 && bytes[length - 1] === 13 && bytes[length - 2] === 10 && bytes[length - 3] === 13;
}

async function readBody(connection: Deno.TcpConn, length: number): Promise<string> {
  if (!(length > 0) || length > bodyBytesMax) return "";
  const bytes = new Uint8Array(1 + length); // begins with the LF that the head left
  for (let at = 0; at < bytes.length;) {
    const got = await connection.read(bytes.subarray(at));
    if (got === null) break;
    at += got;
  }
  return new TextDecoder().decode(bytes.subarray(1));
}

/** Reads the byte that `readRequest` left. */
async function readLast(connection: Deno.TcpConn): Promise<void> {
  await connection.read(new Uint8Array(1));
}
