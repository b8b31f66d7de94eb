/**
 * Reads generations as a client does, and notes when each token came.
 *
 * @module
 */

/** One generation to ask for. */
export interface Ask {
  readonly url: string;
  readonly token: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What came of it. */
export interface Stream {
  /** When each token came, milliseconds since the request was sent. */
  readonly atMs: readonly number[];
  /** When the last byte came. */
  readonly endMs: number;
}

const newline = "\n".charCodeAt(0);
const tokenLine = new TextEncoder().encode('data: {"token"');
const errorLine = new TextEncoder().encode('data: {"error"');

/** Sends a request and reads its stream to the end. Throws when it is refused or ends with an error. */
export async function readStream(ask: Ask): Promise<Stream> {
  const startedMs = performance.now();
  const response = await fetch(ask.url, {
    method: "POST",
    headers: { authorization: `Bearer ${ask.token}`, "content-type": "application/json" },
    body: JSON.stringify(ask.body),
  });
  if (!response.ok) throw new Error(`Cannot measure: HTTP ${response.status} ${await response.text()}`);
  const lines = new LineWatch();
  for await (const chunk of response.body!) lines.push(chunk, performance.now() - startedMs);
  if (lines.failed) throw new Error("Cannot measure: the stream ended with an error");
  return { atMs: lines.atMs, endMs: performance.now() - startedMs };
}

/** Finds lines of tokens in bytes without decoding them: on few cores the client must not be what is measured. */
class LineWatch {
  readonly atMs: number[] = [];
  failed = false;
  #inLine = 0;
  #isToken = true;
  #isError = true;

  push(chunk: Uint8Array, atMs: number): void {
    for (const byte of chunk) {
      if (byte === newline) {
        this.#inLine = 0;
        this.#isToken = this.#isError = true;
        continue;
      }
      if (this.#inLine < tokenLine.length) {
        this.#isToken &&= byte === tokenLine[this.#inLine];
        this.#isError &&= byte === errorLine[this.#inLine];
      }
      if (++this.#inLine !== tokenLine.length) continue;
      if (this.#isToken) this.atMs.push(atMs);
      if (this.#isError) this.failed = true;
    }
  }
}

/** What several streams at once came to. */
export interface Together {
  /** Tokens of all streams per second, from the first request to the last byte. */
  readonly tokensPerSecond: number;
  readonly firstTokenMs: readonly number[];
  /** Between two tokens of one stream. */
  readonly gapsMs: readonly number[];
}

/** Asks all at once and returns what they came to. */
export async function readTogether(asks: readonly Ask[]): Promise<Together> {
  const streams = await Promise.all(asks.map(readStream));
  const tokens = streams.reduce((sum, s) => sum + s.atMs.length, 0);
  return {
    tokensPerSecond: tokens / Math.max(...streams.map((s) => s.endMs)) * 1_000,
    firstTokenMs: streams.map((s) => s.atMs[0]),
    gapsMs: streams.flatMap((s) => s.atMs.slice(1).map((at, before) => at - s.atMs[before])),
  };
}
