/** Steps of the forms that need a GPU. */
import assert from "node:assert/strict";
import { gpuBackend } from "../../support/gpu.ts";
import { must, type Scenario, suite } from "./scenario.ts";

async function infer(scenario: Scenario, tokens: number, prompt: string): Promise<void> {
  const where = `--backend ${must(gpuBackend, "a GPU")} --device 0`;
  await scenario.start(`infer ${where} --prompt "${prompt}" --max-tokens ${tokens} --ignore-eos --stats`);
  await scenario.ends(60_000);
}

suite.step("a person infers {int} tokens of {string} on the GPU", async function (tokens: number, prompt: string) {
  await infer(this, tokens, prompt);
});

suite.step("a worker on the GPU that has answered", async function () {
  await infer(this, 4, "hello");
  assert.equal(this.finished?.code, 0, this.finished?.stderr);
  await this.remember();
});

suite.step("the one worker computes on the GPU", async function () {
  const { id, backend, device } = await this.oneWorker();
  assert.deepEqual([backend, device], [gpuBackend, 0]);
  if (this.worker) assert.equal(id, this.worker.id, "it is the same worker");
});
