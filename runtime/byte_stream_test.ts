import assert from "node:assert/strict";
import * as z from "zod";
import { RbeeError } from "../protocol/error.ts";
import type { Route } from "../protocol/routes.ts";
import { call } from "./call.ts";
import type { Log } from "./log.ts";
import { type Context, endpoint, serve } from "./serve.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet };
const route = {
  method: "POST",
  path: "/v1/bytes",
  access: "token",
  upload: true,
  answer: z.object({ bytes: z.number() }),
} as const satisfies Route;
// The client of `fetch` keeps connections for the next request; they are nobody's leak.
const relaxed = { sanitizeResources: false, sanitizeOps: false };

async function withServer(
  handler: (context: Context) => Promise<{ bytes: number }>,
  run: (base: string) => Promise<void>,
) {
  const endpoints = [endpoint(route, ({ context }) => handler(context))];
  const auth = { token: "secret", openNeedsToken: false };
  const server = serve({ program: "test", endpoints, auth, log: quiet, hostname: "127.0.0.1", port: 0 });
  try {
    await run(server.url);
  } finally {
    await server.stop(10);
  }
}
const send = (base: string, bytes: ReadableStream<Uint8Array>) =>
  call({ program: "test", base, token: "secret" }, route, { upload: bytes });
const code = async (promise: Promise<unknown>) => {
  const error = await promise.then(() => undefined, (e) => e);
  assert.ok(error instanceof RbeeError, String(error));
  return error.code;
};
const piece = new Uint8Array(64 * 1024).fill(7);
/** A stream of pieces that counts what was taken of it. */
function pieces(count: number, taken: { bytes: number }): ReadableStream<Uint8Array> {
  let left = count;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (left-- <= 0) return controller.close();
      taken.bytes += piece.length;
      controller.enqueue(piece.slice());
    },
  }, { highWaterMark: 0 });
}
async function countAll({ upload }: Context): Promise<{ bytes: number }> {
  let sum = 0;
  for await (const one of upload!) sum += one.length;
  return { bytes: sum };
}

Deno.test("bytes reach their handler as a stream, longer than any JSON body may be", relaxed, async () => {
  await withServer(countAll, async (base) => {
    const taken = { bytes: 0 };
    assert.deepEqual(await send(base, pieces(1_000, taken)), { bytes: 1_000 * piece.length });
  });
});

Deno.test("whoever sends bytes waits for whoever reads them", relaxed, async () => {
  const goOn = Promise.withResolvers<void>();
  await withServer(async (context) => {
    await goOn.promise;
    return await countAll(context);
  }, async (base) => {
    const taken = { bytes: 0 };
    const sent = send(base, pieces(2_000, taken));
    let before = -1;
    // Until nothing more goes into the buffers of the way there.
    while (taken.bytes > before) {
      before = taken.bytes;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    assert.ok(taken.bytes < 20 * 1024 * 1024, `${taken.bytes} bytes were taken though nobody reads`);
    goOn.resolve();
    assert.deepEqual(await sent, { bytes: 2_000 * piece.length });
  });
});

Deno.test(
  "a body that breaks is CONNECTION_LOST to its handler, and what came before was delivered",
  relaxed,
  async () => {
    const seen = Promise.withResolvers<{ bytes: number; error: unknown }>();
    await withServer(async ({ upload }) => {
      let sum = 0;
      try {
        for await (const one of upload!) sum += one.length;
        seen.resolve({ bytes: sum, error: undefined });
      } catch (error) {
        seen.resolve({ bytes: sum, error });
      }
      return { bytes: sum };
    }, async (base) => {
      let left = 3;
      const bytes = new ReadableStream<Uint8Array>({
        async pull(controller) {
          if (left-- > 0) return controller.enqueue(piece.slice());
          await new Promise((resolve) => setTimeout(resolve, 50));
          controller.error(new Error("the source broke"));
        },
      });
      await assert.rejects(send(base, bytes));
      const { bytes: sum, error } = await seen.promise;
      assert.equal(sum, 3 * piece.length);
      assert.ok(error instanceof RbeeError && error.code === "CONNECTION_LOST", String(error));
    });
  },
);

Deno.test("a handler that reads nothing and refuses is understood by whoever is still sending", relaxed, async () => {
  await withServer(() => Promise.reject(new RbeeError("MODEL_NOT_FOUND")), async (base) => {
    for (let n = 0; n < 5; n++) assert.equal(await code(send(base, pieces(200, { bytes: 0 }))), "MODEL_NOT_FOUND");
  });
});
