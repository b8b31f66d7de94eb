/**
 * SIGKILL at a hive while it fetches a model: nothing wrong gets a name or a row, and the next hive goes on from the byte
 * at which this one was struck.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { SeededRandom } from "../sim/seeded_random.ts";
import { eventually, pause } from "./eventually.ts";
import { HubWorld, modelOf } from "./hub_world.ts";
import { removeFolder } from "./temporary.ts";
import type { World } from "./world.ts";

const repo = "acme/story-GGUF";
const ref = `hf:${repo}:Q4_K_M`;
const parts = ["story-Q4_K_M-00001-of-00002.gguf", "story-Q4_K_M-00002-of-00002.gguf"];
const first = modelOf(12 * 1024 * 1024, 1);
const second = modelOf(4 * 1024 * 1024, 2);
/** So that a whole download takes about as long as `killMs`. */
const bytesPerSecond = 24 * 1024 * 1024;
const killMs = 1_000;
/** What may have come and not be on disk yet: a piece that is filled, one that is written, and one that is read. */
const onTheirWayBytes = 2.25 * 1024 * 1024;

/** Returns a world with a hub that has one model of two files. */
export async function killWorld(world?: World): Promise<HubWorld> {
  const at = new HubWorld({}, world);
  await at.hub.add(repo, { [parts[0]]: first, [parts[1]]: second });
  return at;
}

/** One kill, the proof, and the model fetched to its end. Returns the time of the kill, and how many bytes were here. */
export async function downloadKill(
  at: HubWorld,
  chance: SeededRandom,
): Promise<{ killedAt: number; keptBytes: number }> {
  at.hub.faults.clear();
  at.hub.faults.add({ on: "bytes", bytesPerSecond });
  at.hub.log.length = 0;
  const hive = await at.world.startHive();
  const { json } = await at.ask(ref);
  let told = 0;
  const follower = at.follow(String(json.download_id), ({ data }) => {
    if (data.includes("downloading")) told = JSON.parse(data).bytes_downloaded;
  }).catch(() => {}); // it is killed
  await pause(chance.between(0, killMs));
  const killedAt = performance.now();
  hive.signal("SIGKILL");
  await hive.ends(3_000);
  await follower;
  const keptBytes = nothingIsWrong(at);
  assert.ok(keptBytes >= told - onTheirWayBytes, `${told} bytes were told, ${keptBytes} are here`);
  await goesOn(at);
  return { killedAt, keptBytes };
}

/** Returns how many bytes are here. */
function nothingIsWrong(at: HubWorld): number {
  let bytes = 0;
  for (const path of fetched(at)) {
    const whole = path.includes(parts[0]) ? first : second;
    if (path.endsWith(".json") || path.endsWith(".tmp")) continue;
    const here = Deno.readFileSync(path);
    if (path.endsWith(".gguf")) assert.equal(here.length, whole.length, `${path} is whole`);
    assert.ok(equal(here, whole.subarray(0, here.length)), `${path} holds bytes of the file alone`);
    bytes += here.length;
  }
  return bytes;
}

async function goesOn(at: HubWorld): Promise<void> {
  const sizes = new Map(fetched(at).map((path) => [path.split("/").at(-1) ?? "", Deno.statSync(path).size]));
  at.hub.faults.clear();
  at.hub.log.length = 0;
  const hive = await at.world.startHive();
  const models = (await at.call("GET /v1/models")).json.models as unknown as { provider: string; local_path: string }[];
  for (const { provider, local_path } of models) {
    if (provider !== "hf") continue;
    assert.ok(equal(Deno.readFileSync(local_path), first), "what has a row is whole");
  }
  const { json, text } = await at.ask(ref);
  if (!json.local_path) {
    const { last } = await at.follow(String(json.download_id));
    assert.equal(last.stage, "complete", text + JSON.stringify(last));
  }
  for (const [number, whole] of [first, second].entries()) {
    const asked = at.hub.log.find(({ origin, method, path, status }) =>
      origin === "cdn" && method === "GET" && path.endsWith(parts[number]) && status < 300
    );
    const part = sizes.get(`${parts[number]}.part`) ?? 0;
    if (sizes.has(parts[number])) assert.equal(asked, undefined, "what is whole is not asked for");
    else if (part < whole.length) assert.equal(asked?.range ?? "bytes=0-", `bytes=${part}-`);
    assert.ok(equal(Deno.readFileSync(fetched(at).find((path) => path.endsWith(parts[number])) ?? ""), whole));
  }
  assert.equal(fetched(at).length, 2, `no part is left: ${fetched(at).join(" ")}`);
  hive.signal("SIGTERM");
  await hive.ends(5_000);
  removeFolder(at.models);
  await eventually(() => at.world.living().length === 0, { withinMs: 2_000, what: "the hive is gone" });
}

/** What else lies in the models folder came with rbee. */
const fetched = (at: HubWorld) => at.files(`${at.models}/hf`);

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
