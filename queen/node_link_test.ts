import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { NodeLink } from "./node_link.ts";
import type { SshMaster } from "./ssh_master.ts";

const target = { host: "workstation.home.arpa", user: "me", port: 22 };
const refused = () =>
  new RbeeError("SSH_CONNECTION_FAILED", { message: "m", details: { reason: "connection refused" } });

/** Returns a link whose attempts give these, in turn; the last one for ever. */
function linkTo(outcomes: (RbeeError | SshMaster)[], connectMs = 10_000) {
  let attempts = 0;
  const open = () => {
    const outcome = outcomes[Math.min(attempts++, outcomes.length - 1)];
    return outcome instanceof RbeeError ? Promise.reject(outcome) : Promise.resolve(outcome);
  };
  const link = new NodeLink({ node: "workstation", target, folder: "/nowhere", connectMs, open });
  return { link, attempts: () => attempts };
}

const standing = { isUp: true, close: () => Promise.resolve() } as unknown as SshMaster;

Deno.test("three attempts, each told with its time-out and delay, then one error (S14, S36)", async () => {
  const { link } = linkTo([refused()]);
  const said: string[] = [];
  const begun = performance.now();
  await assert.rejects(link.connect((line) => said.push(line)), (error: RbeeError) => {
    assert.equal(error.code, "CONNECTION_TIMEOUT");
    assert.match(error.message, /workstation\.home\.arpa:22 after 3 attempts/);
    assert.match(error.hint, /rbee-hive/);
    return true;
  });
  assert.ok(performance.now() - begun >= 590, "0, 200 and 400 ms were waited");
  assert.deepEqual(said.map((line) => line.slice(3)), [
    "Attempt 1: connecting to workstation.home.arpa:22 (timeout 10s)",
    "Attempt 2: connecting to workstation.home.arpa:22 (timeout 10s, delay 200ms)",
    "Attempt 3: connecting to workstation.home.arpa:22 (timeout 10s, delay 400ms)",
  ]);
});

Deno.test("a machine that answers at the second attempt is connected", async () => {
  const { link, attempts } = linkTo([refused(), standing]);
  assert.equal(await link.connect(), standing);
  assert.equal(attempts(), 2);
  assert.equal(await link.connect(), standing);
  assert.equal(attempts(), 2, "the connection is shared");
});

Deno.test("what a second attempt cannot mend is tried once", async () => {
  const noName = new RbeeError("SSH_CONNECTION_FAILED", { details: { reason: "name not found" } });
  for (const error of [noName, new RbeeError("SSH_AUTH_FAILED"), new RbeeError("SSH_HOST_KEY_UNKNOWN")]) {
    const { link, attempts } = linkTo([error]);
    await assert.rejects(link.connect(), (thrown) => thrown === error);
    assert.equal(attempts(), 1);
  }
});

Deno.test("two who connect at once share the attempts, and both hear of them", async () => {
  const { link, attempts } = linkTo([refused(), standing]);
  const said: string[][] = [[], []];
  await Promise.all(said.map((lines) => link.connect((line) => lines.push(line))));
  assert.equal(attempts(), 2);
  assert.ok(said[1].length >= 1 && said[0].length >= 1);
});

Deno.test("a link that is closed tries no more", async () => {
  const { link } = linkTo([refused()]);
  const connecting = link.connect();
  connecting.catch(() => {});
  await link.close();
  await assert.rejects(connecting, (error: RbeeError) => error.code === "SHUTTING_DOWN");
  await assert.rejects(link.connect(), (error: RbeeError) => error.code === "SHUTTING_DOWN");
});
