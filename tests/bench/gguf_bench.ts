/**
 * How long a model's header takes to be read and checked: a hive does it before each start of a worker.
 *
 * @module
 */
import { readGgufHeader } from "../../native/gguf.ts";
import { shapeOf } from "../../native/gguf_shape.ts";
import { fromFileUrl, join } from "../../runtime/path.ts";
import { hasSmollm2, smollm2, smollm2Missing } from "../support/smollm2.ts";
import { slowGguf } from "../support/slow_gguf.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { median, percentile, say, sayTable } from "./figures.ts";

const warmTimes = 30;
const coldTimes = 9;

/** Measures and prints. */
export async function run(): Promise<void> {
  // 12 layers: 90 MB, but a vocabulary of 2,048 words only.
  const folder = join(temporaryFolder(), "rbee-test-models");
  const path = hasSmollm2 ? smollm2 : await slowGguf({ folder, layers: 12, width: 768 });
  const { sizeBytes, dataStart, vocabSize } = await readGgufHeader(path);
  say(`\ngguf: the header of a file of ${Math.round(sizeBytes / 1e6)} MB, ${dataStart} bytes, ${vocabSize} words`);
  if (!hasSmollm2) say(`  a model of random weights in its place${smollm2Missing()}`);
  const cold = await coldMs(path);
  const [warm, plain]: [number[], number[]] = [[], []];
  for (let time = 0; time < warmTimes; time++) {
    warm.push(await msOf(async () => void shapeOf(await readGgufHeader(path))));
    plain.push(await msOf(() => readPlain(path, dataStart)));
  }
  sayTable([
    ["", "median", "slowest", "goal"],
    ["first header of a process, ms", median(cold), percentile(cold, 1), "20"],
    ["each further one, ms", median(warm), percentile(warm, 1), "20"],
    ["the same bytes read and not looked at, ms", median(plain), percentile(plain, 1), ""],
    ["header : plain, ratio of the medians", median(warm) / median(plain), "", ""],
  ]);
}

async function msOf(work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

async function readPlain(path: string, length: number): Promise<void> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) filled += await file.read(bytes.subarray(filled)) ?? length;
}

/** Each in a process of its own: nothing of the reader is compiled yet there. */
async function coldMs(path: string): Promise<number[]> {
  const reader = new URL("../../native/gguf.ts", import.meta.url).href;
  const script = `import { readGgufHeader } from ${JSON.stringify(reader)};
    const startedMs = performance.now();
    await readGgufHeader(${JSON.stringify(path)});
    console.log(performance.now() - startedMs);`;
  const cwd = fromFileUrl(new URL("../../", import.meta.url));
  const all: number[] = [];
  for (let time = 0; time < coldTimes; time++) {
    const args = ["eval", "--quiet", "--no-check", "--ext=ts", script];
    const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
    all.push(Number(new TextDecoder().decode(stdout)));
  }
  return all;
}
