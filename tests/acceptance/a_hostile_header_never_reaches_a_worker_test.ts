import assert from "node:assert/strict";
import { readGgufHeaderFrom } from "../../native/gguf.ts";
import { shapeOf } from "../../native/gguf_shape.ts";
import { processMemoryBytes } from "../../native/memory.ts";
import { RbeeError } from "../../protocol/error.ts";
import { memoryNeed } from "../../protocol/memory_need.ts";
import { environment } from "../../runtime/environment.ts";
import { join } from "../../runtime/path.ts";
import { SeededRandom } from "../sim/seeded_random.ts";
import { mutated, smallGguf } from "../support/gguf_mutations.ts";
import { World } from "../support/world.ts";

const mebibyte = 1024 * 1024;
const tiny = Deno.readFileSync(new URL("../../native/tiny/tiny.gguf", import.meta.url));
const tinyHeaderBytes = 64_320;

/** 5,000 in every run; `RBEE_HEADERS=100000 deno task test tests/acceptance/a_hostile_header…` for all of them. */
const rounds = Number(environment("RBEE_HEADERS") ?? 5_000);
const seed = Number(environment("RBEE_HEADERS_SEED") ?? 1);

/** Returns what came of a file: its code, or "read"; throws for what must never come. */
async function outcome(bytes: Uint8Array): Promise<string> {
  let bytesRead = 0;
  const read = (offset: number, length: number) => {
    bytesRead += length;
    return Promise.resolve(bytes.subarray(offset, offset + length));
  };
  try {
    const header = await readGgufHeaderFrom({ sizeBytes: bytes.length, read });
    const shape = shapeOf(header);
    const need = memoryNeed({ size_bytes: bytes.length, shape }, { backend: "cpu", slots: 4 });
    assert.ok(
      Object.values(need).every((value) => Number.isFinite(value) && value >= 0),
      JSON.stringify([shape, need]),
    );
    return "read";
  } catch (error) {
    if (error instanceof RbeeError) return error.code;
    throw error;
  } finally {
    assert.ok(bytesRead <= 4 * bytes.length, `${bytesRead} bytes were read of ${bytes.length}`);
  }
}

Deno.test(`of ${rounds} headers changed by chance each is read or refused, and none takes time or memory`, async () => {
  const small = smallGguf();
  assert.equal(await outcome(small), "read");
  const read = (offset: number, length: number) => Promise.resolve(small.subarray(offset, offset + length));
  const { dataStart } = await readGgufHeaderFrom({ sizeBytes: small.length, read });
  const counts: Record<string, number> = {};
  const residentBefore = processMemoryBytes(Deno.pid) ?? 0;
  let slowestMs = 0;
  for (let round = 0; round < rounds; round++) {
    const chance = new SeededRandom(seed * 1_000_003 + round);
    const bytes = round % 25 === 0 ? mutated(tiny, tinyHeaderBytes, chance) : mutated(small, dataStart, chance);
    const startMs = performance.now();
    const what = await outcome(bytes).catch((error) => {
      throw new Error(`RBEE_HEADERS_SEED=${seed}, round ${round}`, { cause: error });
    });
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
    counts[what] = (counts[what] ?? 0) + 1;
  }
  const grownMb = Math.round(((processMemoryBytes(Deno.pid) ?? 0) - residentBefore) / mebibyte);
  console.log(JSON.stringify({ seed, ...counts, slowest_ms: Math.round(slowestMs), grown_mb: grownMb }));
  assert.deepEqual(Object.keys(counts).sort(), ["MODEL_INCOMPATIBLE", "MODEL_LOAD_FAILED", "read"]);
  assert.ok(counts.MODEL_INCOMPATIBLE > rounds / 10 && counts.read > rounds / 100, "the changes reach every corner");
  assert.ok(slowestMs < 10_000, "none hangs");
  assert.ok(grownMb < 500, `${grownMb} MB more than before`);
});

const hostile: Record<string, (view: DataView) => void> = {
  "more tensors than any model has": (view) => view.setBigUint64(8, 2n ** 40n, true),
  "more pairs than any model has": (view) => view.setBigUint64(16, 2n ** 63n, true),
  "a key of 2^62 bytes": (view) => view.setBigUint64(24, 2n ** 62n, true),
  "no tensors at all": (view) => view.setBigUint64(8, 0n, true),
  "a version of tomorrow": (view) => view.setUint32(4, 77, true),
};

Deno.test("a hive refuses each hostile file as MODEL_INCOMPATIBLE, starts no worker for it, and lives on", async (t) => {
  await using world = new World();
  const hive = await world.startHive();
  for (const [what, change] of Object.entries(hostile)) {
    await t.step(what, async () => {
      const bytes = tiny.slice();
      change(new DataView(bytes.buffer));
      const path = join(world.root, "hostile.gguf");
      Deno.writeFileSync(path, bytes);
      const body = { model_ref: `file:${path}`, backend: "cpu", device: 0 };
      const answer = await world.call({ who: "hive" }, "POST /v1/workers/spawn", { body });
      assert.equal(answer.status, 400, answer.text);
      assert.equal(answer.json.error.code, "MODEL_INCOMPATIBLE");
      assert.match(String(answer.json.error.message), /^Cannot use .*hostile\.gguf: /);
    });
  }
  const logs = [...Deno.readDirSync(join(world.home, "logs"))].map(({ name }) => name);
  assert.deepEqual(logs.filter((name) => name.startsWith("worker-")), []);
  assert.ok(hive.isRunning);
});
