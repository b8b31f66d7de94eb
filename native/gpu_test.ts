import assert from "node:assert/strict";
import { gpu } from "../protocol/node.ts";
import { detectGpus } from "./gpu.ts";
import { fixture, kernelTree } from "./testdata/fixture.ts";

const onLinux = { ignore: Deno.build.os !== "linux" };
const signal = new AbortController().signal;

/** True where a real driver would answer instead of the tools that these tests stand in for. */
const hasNvml = (await detectGpus({ run: () => Promise.resolve(undefined), files: kernelTree({}) }))
  .some((one) => one.backend === "cuda");

Deno.test("a machine without any tool and any driver has only its CPU", { ignore: hasNvml }, async () => {
  const run = () => Promise.resolve(undefined);
  assert.deepEqual(await detectGpus({ run, signal, files: kernelTree({}) }), []);
});

Deno.test(
  "an NVIDIA card stands once for CUDA and once for Vulkan",
  { ignore: hasNvml || onLinux.ignore },
  async () => {
    const csv = "index, name, uuid, memory.total [MiB], memory.free [MiB]\n" +
      "0, NVIDIA GeForce RTX 4080, GPU-1, 16376 MiB, 15000 MiB\n";
    const run = (exe: string) =>
      Promise.resolve(
        exe === "nvidia-smi"
          ? { code: 0, stdout: csv }
          : exe === "vulkaninfo"
          ? { code: 0, stdout: fixture("vulkaninfo_rtx_4080_llvmpipe.txt") }
          : undefined,
      );
    const gpus = await detectGpus({ run, files: kernelTree({}) });
    const mib = 1024 ** 2;
    assert.deepEqual(gpus.map((one) => [one.backend, one.index, one.name, one.memory_free_bytes]), [
      ["cuda", 0, "NVIDIA GeForce RTX 4080", 15_000 * mib],
      ["vulkan", 0, "NVIDIA GeForce RTX 4080", 15_000 * mib],
    ]);
    for (const one of gpus) assert.deepEqual(gpu.parse(one), one);
  },
);

Deno.test("an old nvidia-smi that refuses new fields is asked again without them", { ignore: hasNvml }, async () => {
  const asked: string[] = [];
  const run = (exe: string, args: string[]) => {
    if (exe !== "nvidia-smi") return Promise.resolve(undefined);
    asked.push(args[0]);
    return Promise.resolve(
      /compute_cap|mig\.mode/.test(args[0])
        ? { code: 2, stdout: 'Field "compute_cap" is not a valid field to query.\n' }
        : { code: 0, stdout: fixture("nvidia_smi_rtx_2080_super.csv") },
    );
  };
  const gpus = await detectGpus({ run, files: kernelTree({}) });
  assert.deepEqual(gpus.map((one) => one.name), ["NVIDIA GeForce RTX 2080 SUPER"]);
  assert.equal(asked.length, 3);
});

Deno.test("a probe that throws costs its own devices only", { ignore: hasNvml }, async () => {
  const run = (exe: string) =>
    exe === "nvidia-smi"
      ? Promise.reject(new Error("broken"))
      : Promise.resolve(exe === "rocm-smi" ? { code: 0, stdout: fixture("rocm_smi_rx_7900_xt.json") } : undefined);
  const gpus = await detectGpus({ run, files: kernelTree({}) });
  assert.deepEqual(gpus.map((one) => [one.backend, one.name]), [["rocm", "Radeon RX 7900 XT"]]);
});

Deno.test("a driver that is not loaded is no card, in spite of its message", { ignore: hasNvml }, async () => {
  const run = (exe: string) =>
    Promise.resolve(exe === "nvidia-smi" ? { code: 9, stdout: fixture("nvidia_smi_failed.txt") } : undefined);
  assert.deepEqual(await detectGpus({ run, files: kernelTree({}) }), []);
});

Deno.test("a cancelled detection throws the signal's reason", async () => {
  const reason = new Error("enough");
  const run = () => Promise.resolve(undefined);
  await assert.rejects(detectGpus({ run, signal: AbortSignal.abort(reason) }), reason);
});

Deno.test("this machine's devices are what the protocol allows, each backend numbered from 0", async () => {
  const gpus = await detectGpus({ run: () => Promise.resolve(undefined) });
  for (const backend of new Set(gpus.map((one) => one.backend))) {
    const ours = gpus.filter((one) => one.backend === backend);
    assert.deepEqual(ours.map((one) => one.index), ours.map((_, i) => i));
  }
  for (const one of gpus) gpu.parse(one);
});
