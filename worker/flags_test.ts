import assert from "node:assert/strict";
import { parseFlags, type WorkerFlags } from "./flags.ts";

function parse(...args: string[]): { result: WorkerFlags | number; stdout: string; stderr: string } {
  let stdout = "";
  let stderr = "";
  const result = parseFlags(args, { stdout: (text) => stdout += text, stderr: (text) => stderr += text });
  return { result, stdout, stderr };
}

Deno.test("the hive's whole command line is understood", () => {
  const { result } = parse(
    ...["--worker-id", "worker-1a2b3c4d", "--model", "tiny.gguf", "--model-ref", "builtin:tiny", "--backend", "cuda"],
    ...["--device", "1", "--port", "8081", "--callback-url", "http://127.0.0.1:9200", "--slots", "4", "--ctx", "512"],
    ...["--gpu-layers", "20", "--threads", "2", "--listen", "127.0.0.2"],
  );
  assert.deepEqual(result, {
    workerId: "worker-1a2b3c4d",
    model: "tiny.gguf",
    modelRef: "builtin:tiny",
    backend: "cuda",
    device: 1,
    port: 8081,
    callbackUrl: "http://127.0.0.1:9200",
    slots: 4,
    ctx: 512,
    gpuLayers: 20,
    threads: 2,
    listen: "127.0.0.2",
  });
});

Deno.test("by hand a model is enough", () => {
  const { result } = parse("--model", "tiny.gguf");
  assert(typeof result === "object");
  assert.match(result.workerId, /^worker-[0-9a-f]{8}$/);
  assert.deepEqual([result.modelRef, result.backend, result.port, result.slots], ["tiny.gguf", "cpu", 8081, 1]);
});

Deno.test("the callback's address may have the path that is called, and no other", () => {
  const { result } = parse("--model", "m", "--callback-url", "http://127.0.0.1:9200/v1/workers/ready");
  assert.equal((result as WorkerFlags).callbackUrl, "http://127.0.0.1:9200");
  assert.match(parse("--model", "m", "--callback-url", "http://127.0.0.1:9200/other").stderr, /--callback-url/);
  assert.match(parse("--model", "m", "--callback-url", "file:///etc/passwd").stderr, /http:\/\//);
});

const bad: [flag: string, value: string][] = [
  ["--port", "80"],
  ["--port", "65536"],
  ["--port", "eighty"],
  ["--device", "-1"],
  ["--slots", "0"],
  ["--slots", "257"],
  ["--slots", "1.5"],
  ["--ctx", "63"],
  ["--threads", "0x10"],
  ["--gpu-layers", "-1"],
  ["--backend", "tpu"],
  ["--worker-id", "../etc"],
  ["--model-ref", " "],
];
for (const [flag, value] of bad) {
  Deno.test(`${flag} ${value} is wrong usage, named with its value`, () => {
    const { result, stderr } = parse("--model", "m", `${flag}=${value}`);
    assert.equal(result, 2);
    assert(stderr.includes(flag) && stderr.includes(value), stderr);
  });
}

Deno.test("a missing model, an unknown flag and an argument too many are wrong usage", () => {
  assert.match(parse().stderr, /--model/);
  assert.match(parse("--model", "m", "--modle-ref", "x").stderr, /Did you mean --model-ref/);
  for (const args of [[], ["--model", "m", "--nothing"], ["--model", "m", "extra"]]) {
    assert.equal(parse(...args).result, 2);
  }
});

Deno.test("help has examples and goes to stdout, as the version does", () => {
  const help = parse("--help");
  assert.equal(help.result, 0);
  assert.match(help.stdout, /Examples:\n.*RBEE_WORKER_KEY/);
  const version = parse("--version");
  assert.equal(version.result, 0);
  assert.match(version.stdout, /^llm-worker-rbee \d+\.\d+\.\d+ \(.+\)\n$/);
});
