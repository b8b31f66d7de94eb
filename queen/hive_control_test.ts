import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { publishRunning, readRunning } from "../runtime/running.ts";
import { VERSION } from "../runtime/version.ts";
import type { HiveAccess, OpenHive } from "./hive_access.ts";
import { HiveControl } from "./hive_control.ts";
import { LocalHive, type LocalHiveOptions } from "./local_hive.ts";
import type { SchedulerEvent } from "./scheduler_messages.ts";
import { noLog, StandInHive } from "./testdata/stand_in.ts";

// The client of `fetch` keeps connections for the next request; they are nobody's leak.
const relaxed = { sanitizeResources: false, sanitizeOps: false };

/** Returns what the scheduler hears, in codes, of a queen who finds this address in hive.json and can start no hive. */
async function heard(
  url: string,
  token: string,
  isHive?: LocalHiveOptions["isHive"],
): Promise<string[]> {
  const home = await Deno.makeTempDir({ prefix: "rbee-hive-control-" });
  const hiveFile = `${home}/hive.json`;
  const running = publishRunning(hiveFile, { pid: Deno.pid, url, version: VERSION, started_unix: 0 });
  const events: SchedulerEvent[] = [];
  const holder = { id: "queen-1", hostname: "here" };
  const access = new LocalHive({
    ...{ hiveFile, certFile: "", token, isHive, handOverToken: false, portFallback: true, holder, log: noLog },
    home: `${home}/missing`, // no process can be started in it
  });
  const onEvent = (event: SchedulerEvent) => void events.push(event);
  const control = new HiveControl({ node: "local", access, holder, log: noLog, onEvent });
  try {
    await control.ensure();
    return events.map((event) => event.type === "hiveFailed" ? event.error.code : event.type);
  } finally {
    await control.end();
    running[Symbol.dispose]();
    await Deno.remove(home, { recursive: true });
  }
}

/** A server on a hive's port that says what it is asked to, and writes down who sent it a token. */
function listener(health: Record<string, unknown>) {
  const authorized: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    if (request.headers.has("authorization")) authorized.push(new URL(request.url).pathname);
    return Response.json({ status: "alive", version: VERSION, api_version: "v1", ...health });
  });
  return { authorized, url: `http://127.0.0.1:${server.addr.port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("the hive that shows our home is adopted", relaxed, async () => {
  await using hive = new StandInHive();
  strictEqual((await heard(hive.server.url, hive.token, () => true))[0], "hiveConnected");
});

Deno.test("whoever has taken a hive's port is never sent our token, whatever it says of itself", relaxed, async () => {
  for (const health of [{}, { home_id: "0123456789abcdef" }, { home_id: "0123456789abcdef", version: "9.9.9" }]) {
    await using stranger = listener(health);
    // Nobody knows what the process is (not Linux), so its answer alone must show it.
    deepStrictEqual(await heard(stranger.url, "c".repeat(64), () => undefined), ["HIVE_START_FAILED"]);
    deepStrictEqual(stranger.authorized, []);
  }
});

Deno.test(
  "a hive.json whose process is another program now is no hive, and nothing is sent there",
  relaxed,
  async () => {
    await using hive = new StandInHive();
    deepStrictEqual(await heard(hive.server.url, hive.token), ["HIVE_START_FAILED"]); // this test's own process
    strictEqual(hive.leases, 0);
  },
);

Deno.test(
  "what a killed hive said of itself is gone before the next one may be given its number",
  relaxed,
  async () => {
    const dead = new Deno.Command("true").spawn();
    await dead.status;
    const home = await Deno.makeTempDir({ prefix: "rbee-hive-control-" });
    const hiveFile = `${home}/hive.json`;
    publishRunning(hiveFile, { pid: dead.pid, url: "http://127.0.0.1:1", version: VERSION, started_unix: 0 });
    const access = new LocalHive({
      ...{ hiveFile, certFile: "", token: "d".repeat(64), handOverToken: false, portFallback: true, log: noLog },
      ...{ home: `${home}/missing`, holder: { id: "queen-1", hostname: "here" } }, // no process can be started in it
    });
    await rejects(access.open(), (error: RbeeError) => error.code === "HIVE_START_FAILED");
    strictEqual(readRunning(hiveFile), undefined);
    await Deno.remove(home, { recursive: true });
  },
);

Deno.test("a hive of another home is none of ours, also when its version differs", relaxed, async () => {
  await using hive = new StandInHive({ homeId: "0123456789abcdef", version: "9.9.9" });
  deepStrictEqual(await heard(hive.server.url, hive.token, () => true), ["HIVE_START_FAILED"]);
});

/** A control whose hive comes when the test says so; `log` holds what its access was asked for. */
function slow(more: Partial<HiveAccess> = {}) {
  const log: string[] = [];
  const events: SchedulerEvent[] = [];
  const opening = Promise.withResolvers<OpenHive>();
  const access: HiveAccess = {
    open: () => (log.push("open"), opening.promise),
    stop: () => (log.push("stop"), Promise.resolve("stopped")),
    giveUp: () => void log.push("giveUp"),
    untilGone: () => Promise.resolve(),
    workerPeer: () => Promise.reject(new Error("no worker")),
    forgetWorker() {},
    whyGone: () => Promise.resolve(undefined),
    end: ({ isOurs, asked }) => (log.push(`end ours=${isOurs} asked=${asked}`), Promise.resolve()),
    ...more,
  };
  const holder = { id: "queen-1", hostname: "here" };
  const onEvent = (event: SchedulerEvent) => void events.push(event);
  return { log, events, opening, control: new HiveControl({ node: "box", access, holder, log: noLog, onEvent }) };
}

Deno.test("a hive that comes while its queen is ending is ended as well", relaxed, async () => {
  await using hive = new StandInHive();
  const { log, events, opening, control } = slow();
  const ensuring = control.ensure();
  await Promise.resolve(); // it is being opened
  const ending = control.end();
  opening.resolve({
    peer: { program: "rbee-hive", base: hive.server.url, token: hive.token, caller: "queen-rbee" },
    ...{ isOurs: true, isRemote: true, wasRunning: false, gone: new Promise(() => {}) },
  });
  await Promise.all([ensuring, ending]);
  deepStrictEqual(log, ["open", "giveUp", "end ours=true asked=true"]);
  deepStrictEqual(events, []);
});

Deno.test("a hive that was wanted before it was stopped is not started after it", relaxed, async () => {
  const { log, events, opening, control } = slow();
  const first = control.ensure();
  const second = control.ensure();
  await Promise.resolve(); // it is being opened
  const stopping = control.stopHive();
  opening.reject(new Error("it does not start"));
  await Promise.all([first, second, stopping]);
  deepStrictEqual(log, ["open", "stop"]);
  strictEqual(events.at(-1)?.type, "hiveReleased");
  await control.end();
});

Deno.test(
  "a stop that fails because the way breaks meanwhile is heard as a loss: the hive is looked for again",
  relaxed,
  async () => {
    await using hive = new StandInHive();
    const { log, events, opening, control } = slow({
      stop: () => {
        gone.resolve(new RbeeError("CONNECTION_LOST")); // and with it the way to end it
        return new Promise((_, reject) => setTimeout(() => reject(new RbeeError("CONNECTION_LOST")), 50));
      },
    });
    const gone = Promise.withResolvers<RbeeError>();
    opening.resolve({
      peer: { program: "rbee-hive", base: hive.server.url, token: hive.token, caller: "queen-rbee" },
      ...{ isOurs: true, isRemote: true, wasRunning: false, gone: gone.promise },
    });
    await control.ensure();
    hive.refusesToEnd = true;
    await rejects(control.stopHive(), { code: "CONNECTION_LOST" });
    strictEqual(events.at(-1)?.type, "hiveLost");
    strictEqual(log[0], "open");
    await control.end();
  },
);

Deno.test("whoever wanted a hive hears of a stop that came after and failed", relaxed, async () => {
  const { events, opening, control } = slow({ stop: () => Promise.reject(new RbeeError("CONNECTION_TIMEOUT")) });
  const first = control.ensure();
  const second = control.ensure();
  await Promise.resolve(); // it is being opened
  const stopping = control.stopHive();
  opening.reject(new Error("it does not start"));
  await rejects(stopping, { code: "CONNECTION_TIMEOUT" });
  await Promise.all([first, second]);
  deepStrictEqual(events.map((event) => event.type), ["hiveFailed", "hiveFailed"]);
  await control.end();
});
