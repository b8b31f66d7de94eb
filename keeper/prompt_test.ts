import assert from "node:assert/strict";
import { limits } from "../protocol/limits.ts";
import { type PromptInput, readPrompt } from "./prompt.ts";

const signal = new AbortController().signal;
const piped = (text: string | Uint8Array): PromptInput => ({
  kind: "piped",
  readable: new Blob([text as BlobPart]).stream(),
});
const nothing: PromptInput = { kind: "nothing", readable: new Blob([]).stream() };
/** A pipe that nobody ever closes. */
const open: PromptInput = { kind: "piped", readable: new ReadableStream() };

Deno.test("the prompt comes from the flag, from words, or from standard input", async () => {
  assert.equal(await readPrompt({ prompt: "a b", words: [] }, nothing, { signal }), "a b");
  assert.equal(await readPrompt({ words: ["write", "a", "poem"] }, nothing, { signal }), "write a poem");
  assert.equal(await readPrompt({ words: [] }, piped("from a pipe\n"), { signal }), "from a pipe");
  assert.equal(await readPrompt({ words: ["-"] }, { ...piped("typed\n"), kind: "terminal" }, { signal }), "typed");
});

Deno.test("words and a pipe are joined by a blank line", async () => {
  assert.equal(
    await readPrompt({ words: ["sum", "up:"] }, piped("line 1\nline 2\n"), { signal }),
    "sum up:\n\nline 1\nline 2",
  );
  assert.equal(await readPrompt({ prompt: "sum up:", words: ["-"] }, piped("x"), { signal }), "sum up:\n\nx");
});

Deno.test("--prompt never waits for a pipe that stays open", async () => {
  assert.equal(await readPrompt({ prompt: "hello", words: [] }, open, { signal }), "hello");
});

Deno.test("an empty prompt is wrong usage, wherever it comes from", async () => {
  for (const wish of [{ words: [] }, { prompt: " \n", words: [] }, { words: ["-"] }]) {
    await assert.rejects(readPrompt(wish, nothing, { signal }), { code: "USAGE" });
  }
  await assert.rejects(readPrompt({ words: [] }, piped("\n"), { signal }), { code: "USAGE" });
  await assert.rejects(readPrompt({ prompt: "a", words: ["b"] }, nothing, { signal }), { code: "USAGE" });
});

Deno.test("what is no text or too long is refused", async () => {
  await assert.rejects(readPrompt({ words: [] }, piped(new Uint8Array([0xff, 0xfe, 0x00])), { signal }), {
    code: "USAGE",
  });
  const long = piped(new Uint8Array(limits.stdinPromptBytesMax + 1).fill(97));
  await assert.rejects(readPrompt({ words: [] }, long, { signal }), { code: "PAYLOAD_TOO_LARGE" });
});

Deno.test("Ctrl+C ends the wait for standard input", async () => {
  const stop = new AbortController();
  const waiting = readPrompt({ words: [] }, { kind: "piped", readable: new ReadableStream() }, { signal: stop.signal });
  stop.abort(new Error("interrupted"));
  await assert.rejects(waiting, /interrupted/);
});
