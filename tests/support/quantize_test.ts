import assert from "node:assert/strict";
import { readGgufHeader } from "../../native/gguf.ts";
import { join } from "../../runtime/path.ts";
import { quantize } from "./quantize.ts";

const tiny = new URL("../../native/tiny/tiny.gguf", import.meta.url).pathname;

Deno.test("a model is written anew in each type, and its size follows the type", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const sizes: number[] = [];
    for (const type of ["Q4_0", "Q8_0", "F16"] as const) {
      const path = join(folder, `${type}.gguf`);
      await quantize(tiny, path, type);
      const header = await readGgufHeader(path);
      assert.equal(header.quantization, type);
      assert.equal(header.vocabSize, 2048);
      sizes.push(header.tensors.reduce((sum, { bytes }) => sum + bytes, 0));
    }
    assert.ok(sizes[1] / sizes[0] > 1.8 && sizes[2] / sizes[1] > 1.8, String(sizes));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("Q8_0 written anew is what it was, up to the last bit of a number", async () => {
  const path = Deno.makeTempFileSync();
  try {
    await quantize(tiny, path, "Q8_0");
    const [before, after] = [await readGgufHeader(tiny), await readGgufHeader(path)];
    const [old, made] = [Deno.readFileSync(tiny), Deno.readFileSync(path)];
    let different = 0;
    let compared = 0;
    for (const [i, { offset, bytes, dimensions }] of before.tensors.entries()) {
      if (dimensions.length < 2) continue;
      const there = after.dataStart + after.tensors[i].offset;
      for (let at = 0; at < bytes; at++) {
        if (at % 34 < 2) continue; // the scale is rounded once more
        compared++;
        const apart = (old[before.dataStart + offset + at] - made[there + at]) << 24 >> 24;
        if (apart !== 0) different++;
        assert.ok(Math.abs(apart) <= 1);
      }
    }
    assert.ok(different < compared / 100, `${different} of ${compared}`);
  } finally {
    Deno.removeSync(path);
  }
});
