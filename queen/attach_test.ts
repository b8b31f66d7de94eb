import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { StreamWriter } from "../runtime/event_stream.ts";
import { Attach } from "./attach.ts";

function keeper(): { out: StreamWriter; leave: () => void; read: string[] } {
  const gone = new AbortController();
  const read: string[] = [];
  const write = (piece: string | Uint8Array) => Promise.resolve(void read.push(String(piece)));
  return { out: { signal: gone.signal, write }, leave: () => gone.abort(), read };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("an ephemeral queen ends when nobody comes", async () => {
  let ended = 0;
  using _attach = new Attach({ onEmpty: () => ended++, firstMs: 20, lingerMs: 5 });
  await pause(60);
  strictEqual(ended, 1);
});

Deno.test("she ends a little after the last keeper left, and not while another one holds her", async () => {
  let ended = 0;
  using attach = new Attach({ onEmpty: () => ended++, firstMs: 1_000, lingerMs: 40 });
  const [one, two] = [keeper(), keeper()];
  const held = [attach.hold(one.out), attach.hold(two.out)];
  strictEqual(attach.held, 2);
  deepStrictEqual(one.read, [": attached\n\n"]);
  one.leave();
  await pause(80);
  deepStrictEqual([attach.held, ended], [1, 0]);
  two.leave();
  await Promise.all(held);
  strictEqual(ended, 0, "the next command of the same person may come now");
  await pause(80);
  strictEqual(ended, 1);
});

Deno.test("a keeper that comes while she lingers keeps her", async () => {
  let ended = 0;
  using attach = new Attach({ onEmpty: () => ended++, firstMs: 1_000, lingerMs: 40 });
  const one = keeper();
  const first = attach.hold(one.out);
  one.leave();
  await first;
  const two = keeper();
  const second = attach.hold(two.out);
  await pause(80);
  strictEqual(ended, 0);
  two.leave();
  await second;
});

Deno.test("a persistent queen counts keepers and never ends by them", async () => {
  using attach = new Attach();
  const one = keeper();
  const held = attach.hold(one.out);
  strictEqual(attach.held, 1);
  one.leave();
  await held;
  strictEqual(attach.held, 0);
});
