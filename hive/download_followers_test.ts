import assert from "node:assert/strict";
import { type ParsedEvent, parseText } from "../protocol/sse.ts";
import { limits } from "../protocol/limits.ts";
import { sleep } from "../runtime/call.ts";
import { Followers } from "./download_followers.ts";

function reader() {
  const events: ParsedEvent[] = [];
  const gone = new AbortController();
  const write = (piece: string | Uint8Array) => {
    events.push(...parseText(String(piece)));
    return Promise.resolve();
  };
  return { events, gone, out: { signal: gone.signal, write } };
}

const words = (human: string) => ({ actor: "model-provisioner", action: "model-download-retry", target: "m", human });

Deno.test("a follower is told at once, then of changes now and then, and of the end with its mark", async () => {
  let bytes = 0;
  const progress = () => ({ stage: "downloading", bytes_downloaded: bytes, bytes_total: 9, speed_mbps: 1 } as const);
  const followers = new Followers({ progress, onLeft() {} });
  const one = reader();
  const served = followers.serve(one.out);
  assert.equal(one.events.length, 1, "at once");
  for (bytes = 1; bytes < 9; bytes++) followers.changed();
  await sleep(3 * limits.downloadProgressMs);
  assert.equal(one.events.length, 2, "many changes are one event");
  followers.say(words("again"));
  followers.end({ stage: "complete", local_path: "/m" });
  await served;
  const last = one.events.slice(-3).map(({ event, data }) => event ?? data);
  assert.deepEqual(last, ["narration", '{"stage":"complete","local_path":"/m"}', "[DONE]"]);
  const late = reader();
  await followers.serve(late.out);
  assert.deepEqual(late.events.map(({ event, data }) => event ?? data), last, "whoever comes late is told the same");
});

Deno.test("the last one who leaves is missed after a while, and not while another is there", async () => {
  let left = 0;
  const progress = () => ({ stage: "downloading", bytes_downloaded: 0, bytes_total: 9, speed_mbps: 0 } as const);
  const followers = new Followers({ progress, onLeft: () => left++ });
  const [one, two] = [reader(), reader()];
  const served = [followers.serve(one.out), followers.serve(two.out)].map((end) => end.catch(() => {}));
  one.gone.abort(new Error("left"));
  await sleep(limits.downloadLingerMs + 300);
  assert.equal(left, 0);
  two.gone.abort(new Error("left"));
  await Promise.all(served);
  assert.equal(left, 0, "not at once: it may come back");
  await sleep(limits.downloadLingerMs + 300);
  assert.equal(left, 1);
});

Deno.test("of many lines about retries a late follower gets the last ones", async () => {
  const progress = () => ({ stage: "downloading", bytes_downloaded: 0, bytes_total: 9, speed_mbps: 0 } as const);
  const followers = new Followers({ progress, onLeft() {} });
  for (let i = 1; i <= limits.downloadWordsMax + 5; i++) followers.say(words(`line ${i}`));
  followers.end({ stage: "error", message: "no" });
  const late = reader();
  await followers.serve(late.out);
  const lines = late.events.filter(({ event }) => event === "narration").map(({ data }) => JSON.parse(data).human);
  assert.deepEqual([lines.length, lines[0]], [limits.downloadWordsMax, "line 6"]);
});
