import assert from "node:assert/strict";
import { lastLines, tailLog } from "./log_tail.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const last = (pieces: string[], lines: number) =>
  [...lastLines(pieces.map(bytes), lines)].map((piece) => new TextDecoder().decode(piece)).join("");

Deno.test("the last lines are whole, also across rotated files and without a final line end", () => {
  assert.equal(last(["a\nb\nc\n"], 2), "b\nc\n");
  assert.equal(last(["a\nb\nc"], 2), "b\nc");
  assert.equal(last(["a\nb\n"], 9), "a\nb\n");
  assert.equal(last(["c\nd\n", "a\nb\n"], 3), "b\nc\nd\n");
  assert.equal(last(["c\n", "b\n", "a\n"], 3), "a\nb\nc\n");
  assert.equal(last(["", "b\n"], 1), "b\n");
  assert.equal(last(["a\n\n\n"], 2), "\n\n");
  assert.equal(last(["x"], 1), "x");
  assert.equal(last(["a\n"], 0), "");
});

Deno.test("following goes on over a rotation and ends with its reader", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/w.log`;
  await Deno.writeTextFile(path, "one\ntwo\n");
  const gone = new AbortController();
  let text = "";
  const done = (async () => {
    for await (const piece of tailLog(path, { lines: 1, follow: true, signal: gone.signal })) {
      text += new TextDecoder().decode(piece);
    }
  })();
  const until = async (wanted: string) => {
    for (let n = 0; n < 100 && text !== wanted; n++) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(text, wanted);
  };
  await until("two\n");
  await Deno.writeTextFile(path, "three\n", { append: true });
  await until("two\nthree\n");
  await Deno.writeTextFile(path, "four\n", { append: true });
  await Deno.rename(path, `${path}.1`);
  await Deno.writeTextFile(path, "five\n");
  await until("two\nthree\nfour\nfive\n");
  gone.abort();
  await done;
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a log that does not exist is empty", async () => {
  const signal = new AbortController().signal;
  for await (const _piece of tailLog("/nowhere/w.log", { lines: 5, follow: false, signal })) assert.fail("no piece");
});
