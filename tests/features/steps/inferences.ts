/** Steps about tokens as they come over the wire. */
import assert from "node:assert/strict";
import { EventReader } from "../../support/sse_reader.ts";
import { must, type Scenario, suite } from "./scenario.ts";

/** Follows the worker's own status events; returns the states that it went through so far. */
async function followStates(scenario: Scenario): Promise<string[]> {
  const { id, url } = must(scenario.worker, "a worker");
  const states: string[] = [];
  const response = await scenario.world.open({ who: id, url }, "GET /v1/events", { withinMs: 60_000 });
  const reader = new EventReader(must(response.body, "a body"));
  const seen = (event: { data: string }) => {
    const { state } = JSON.parse(event.data);
    if (states.at(-1) !== state) states.push(state);
    return false;
  };
  const following = reader.until(seen, { withinMs: 60_000, what: "never" }).catch(() => {}); // it ends with the scenario
  scenario.atEnd(async () => {
    // By the reader, not by a signal: Deno 2.7 may have collected what ties a signal to the body.
    await reader[Symbol.asyncDispose]();
    await following;
  });
  return states;
}

suite.step("it is asked for {int} tokens of {string} with its key", async function (tokens: number, prompt: string) {
  this.noted.set("states", await followStates(this));
  const { id, url } = must(this.worker, "a worker");
  const body = { prompt, max_tokens: tokens, temperature: 0.7, ignore_eos: true, stream: true };
  const response = await this.world.open({ who: id, url }, "POST /v1/inference", { body });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  this.reader = new EventReader(must(response.body, "a body"));
  await this.reader.all(15_000);
});

suite.step("the answer is an event stream of tokens with indexes from 0", function () {
  const tokens = must(this.reader, "a stream").values().filter((v) => "token" in v);
  assert.deepEqual(tokens.map((t) => t.index), tokens.map((_t, at) => at));
  assert.ok(tokens.every((t) => typeof t.token === "string"));
  assert.match(tokens.map((t) => t.token).join(""), /\S/);
});

suite.step(
  "the terminal event says done, {int} tokens and how long it took, and the end mark follows",
  function (n: number) {
    const { events } = must(this.reader, "a stream");
    assert.equal(events.at(-1)?.data, "[DONE]");
    const last = this.reader!.values().at(-1)!;
    assert.deepEqual([last.done, last.total_tokens, last.stop_reason], [true, n, "MAX_TOKENS"]);
    assert.ok(Number(last.duration_ms) > 0);
    assert.equal(
      this.reader!.values().filter((v) => "done" in v || "error" in v).length,
      1,
      "exactly one terminal event",
    );
  },
);

suite.step(
  "the worker went from {string} to {string} and back to {string}",
  async function (a: string, b: string, c: string) {
    await this.workerIs([c], 1_000);
    assert.deepEqual(this.noted.get("states"), [a, b, c]);
  },
);

suite.step("the worker answers a prompt with tokens", async function () {
  const answer = await this.askWorker("POST /v1/inference", { prompt: "hello", max_tokens: 4, stream: false });
  this.noted.set("lastAnswerAt", performance.now());
  assert.equal(answer.status, 200, answer.text);
  assert.match(String(answer.json.text), /\S/);
});
