/**
 * HTTP/1.1 written by hand, for what `fetch` would never send: a foreign Host, a body that is cut off, a client that
 * reads nothing, one that closes its half.
 *
 * @module
 */
import { withinTime } from "./eventually.ts";

/** A request, byte by byte. */
export interface RawRequest {
  readonly method: string;
  readonly path: string;
  /** `Host` stands for itself: leave it out to send none. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** An answer. */
export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** One connection to a port of this machine. */
export class RawConnection implements Disposable {
  readonly #connection: Deno.TcpConn;
  #isClosed = false;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** Connects. Throws what `Deno.connect` throws. */
  static async open(port: number): Promise<RawConnection> {
    return new RawConnection(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Sends a request; `content-length` is added when there is a body. */
  async send(request: RawRequest): Promise<void> {
    const body = new TextEncoder().encode(request.body ?? "");
    const headers = {
      ...request.headers,
      ...(request.body === undefined ? {} : { "content-length": `${body.length}` }),
    };
    const head = [
      `${request.method} ${request.path} HTTP/1.1`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ];
    await this.write(`${head.join("\r\n")}\r\n\r\n`);
    if (body.length > 0) await this.#writeAll(body);
  }

  /** Sends text as it is. */
  async write(text: string): Promise<void> {
    await this.#writeAll(new TextEncoder().encode(text));
  }

  /** Says that nothing more will be sent, and goes on reading. */
  async closeOurHalf(): Promise<void> {
    await this.#connection.closeWrite();
  }

  /** Reads once; an empty text at the end. */
  async read(): Promise<string> {
    const buffer = new Uint8Array(64 * 1024);
    const count = await this.#connection.read(buffer);
    return count === null ? "" : new TextDecoder().decode(buffer.subarray(0, count));
  }

  /** Reads to the end of the connection. Throws after 3 × `withinMs`. */
  async readToEnd(withinMs: number): Promise<string> {
    const all = async () => {
      let text = "";
      for (let piece = await this.read(); piece !== ""; piece = await this.read()) text += piece;
      return text;
    };
    return await withinTime(all(), { withinMs, what: "the connection is closed" });
  }

  /** Closes it without a word, as a client that vanished. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.close();
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }
}

/** Sends one request with `Connection: close` and returns the whole answer. */
export async function rawRequest(port: number, request: RawRequest, withinMs = 5_000): Promise<RawAnswer> {
  using connection = await RawConnection.open(port);
  await connection.send({ ...request, headers: { ...request.headers, connection: "close" } });
  return parseAnswer(await connection.readToEnd(withinMs));
}

/** Returns an answer from its text. Chunks are put together. */
export function parseAnswer(text: string): RawAnswer {
  const split = text.indexOf("\r\n\r\n");
  const head = split < 0 ? text : text.slice(0, split);
  const rest = split < 0 ? "" : text.slice(split + 4);
  const isChunked = /^transfer-encoding:\s*chunked/im.test(head);
  return { status: Number(head.split(" ")[1]), head, body: isChunked ? unchunked(rest) : rest };
}

function unchunked(text: string): string {
  let whole = "";
  for (let rest = text; rest !== "";) {
    const end = rest.indexOf("\r\n");
    const size = parseInt(rest.slice(0, end), 16);
    if (!(size > 0)) break;
    whole += rest.slice(end + 2, end + 2 + size);
    rest = rest.slice(end + 2 + size + 2);
  }
  return whole;
}
