import assert from "node:assert/strict";
import { makeCertificate } from "../hive/certificate.ts";
import { RbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { type NewDirectNode, newNode } from "../protocol/node.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { homeId, workerKey } from "../runtime/auth.ts";
import { call, type Peer } from "../runtime/call.ts";
import type { Log } from "../runtime/log.ts";
import { endpoint, serve, type TlsFiles } from "../runtime/serve.ts";
import { VERSION } from "../runtime/version.ts";
import { openDirectHive } from "./direct_hive.ts";
import { openRegistry } from "./nodes.ts";
import { registryEndpoints } from "./registry.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet };
const token = "the-hive-s-own-token";

/** A hive's server, and every token that it was sent. */
interface StandIn extends AsyncDisposable {
  readonly port: number;
  readonly asked: string[];
}

function standIn(options: { tls?: TlsFiles; token?: string; version?: string } = {}): StandIn {
  const own = options.token ?? token;
  const asked: string[] = [];
  const version = options.version ?? VERSION;
  const alive = { status: "alive", version, api_version: "v1", home_id: homeId(own) } as const;
  const server = serve({
    program: "rbee-hive",
    endpoints: [
      endpoint(hiveRoutes.health, () => (asked.push("health"), alive)),
      endpoint(hiveRoutes.listWorkers, () => (asked.push("list"), { workers: [] })),
    ],
    auth: { token: own, openNeedsToken: true },
    ...{ log: quiet, hostname: "127.0.0.1", port: 0, tls: options.tls },
  });
  return { port: server.port, asked, [Symbol.asyncDispose]: () => server.stop(0) };
}

/** A registry with its endpoints in front of it, and a folder with a token and a certificate. */
interface Ground {
  readonly queen: Peer;
  readonly folder: string;
  readonly tls: TlsFiles;
  /** The wish to register `fast` with TLS on that port. */
  wish(port: number, more?: Record<string, unknown>): NewDirectNode;
}

async function withQueen(use: (ground: Ground) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "rbee-direct-" });
  const tls = makeCertificate({ hosts: ["127.0.0.1"], now: new Date() });
  await Deno.writeTextFile(`${folder}/token`, token + "\n", { mode: 0o600 });
  await Deno.writeTextFile(`${folder}/hive.crt`, tls.cert);
  const registry = await openRegistry(`${folder}/beehives.db`);
  const server = serve({
    ...{
      program: "queen-rbee",
      endpoints: registryEndpoints(registry, unused),
      log: quiet,
      hostname: "127.0.0.1",
      port: 0,
    },
    auth: { token: "q", openNeedsToken: true },
  });
  const wish = (port: number, more: Record<string, unknown> = {}) =>
    newNode.parse({
      ...{ transport: "direct", node_name: "fast", address: "127.0.0.1", hive_port: port },
      ...{ token_file: `${folder}/token`, ca_cert_file: `${folder}/hive.crt` },
      ...more,
    }) as NewDirectNode;
  try {
    await use({ queen: { program: "queen-rbee", base: server.url, token: "q" }, folder, tls, wish });
  } finally {
    await server.stop(0);
    registry[Symbol.dispose]();
    await Deno.remove(folder, { recursive: true });
  }
}

async function refused(promise: Promise<unknown>, code: string, text: RegExp = /./): Promise<RbeeError> {
  const error = await promise.then((value) => value, (thrown) => thrown);
  assert.ok(error instanceof RbeeError, JSON.stringify(error));
  assert.equal(error.code, code, error.message);
  assert.match(`${error.message}\n${error.hint}`, text);
  assert.ok(!JSON.stringify(error).includes(token));
  return error;
}

/** The registry alone is looked at here. */
const unused = { check() {}, renew: () => Promise.resolve() };

Deno.test("a hive that takes the token is registered, listed, tested, changed and forgotten; the token stands nowhere", () =>
  withQueen(async ({ queen, folder, tls, wish }) => {
    await using hive = standIn({ tls });
    const added = await call(queen, queenRoutes.addBeehive, { body: wish(hive.port) });
    assert.equal(added.message, "The hive takes the token: node 'fast' saved");
    const { nodes } = await call(queen, queenRoutes.listBeehives);
    const { last_connected_unix: at, ...row } = nodes[0];
    assert.ok(Math.abs(at! - Date.now() / 1_000) < 60);
    assert.deepEqual(row, { ...wish(hive.port), status: "reachable", last_error: null });
    for (const { name } of Deno.readDirSync(folder)) {
      if (name !== "token") assert.ok(!Deno.readTextFileSync(`${folder}/${name}`).includes(token), name);
    }
    const named = { node_name: "fast" };
    assert.match((await call(queen, queenRoutes.testBeehive, { body: named })).message, /is reachable$/);
    await refused(call(queen, queenRoutes.addBeehive, { body: wish(hive.port) }), "NODE_ALREADY_EXISTS");
    await using plain = standIn();
    const body = { ...named, plaintext: true, hive_port: plain.port };
    await call(queen, queenRoutes.updateBeehive, { body });
    const changed = (await call(queen, queenRoutes.listBeehives)).nodes[0];
    assert.ok(changed.transport === "direct" && changed.plaintext && changed.ca_cert_file === null);
    const back = { ...named, ca_cert_file: `${folder}/hive.crt`, hive_port: hive.port };
    await call(queen, queenRoutes.updateBeehive, { body: back });
    assert.deepEqual(hive.asked, ["health", "list", "health", "list", "health", "list"]);
    await call(queen, queenRoutes.removeBeehive, { body: named });
    assert.deepEqual((await call(queen, queenRoutes.listBeehives)).nodes, []);
  }));

Deno.test("S44: a wrong token is 401, named with the host and the configuration; it is not even sent", () =>
  withQueen(async ({ queen, tls, wish }) => {
    await using hive = standIn({ tls, token: "another-one" });
    const error = await refused(
      call(queen, queenRoutes.addBeehive, { body: wish(hive.port) }),
      "INVALID_API_KEY",
      /127\.0\.0\.1:\d+: the key is invalid or missing\n.*token.*config\.toml/s,
    );
    const { status, details } = error;
    assert.deepEqual([status, details.host, details.address], [401, "127.0.0.1", `127.0.0.1:${hive.port}`]);
    assert.deepEqual(hive.asked, ["health"]);
    assert.deepEqual((await call(queen, queenRoutes.listBeehives)).nodes, []);
  }));

Deno.test("a hive with another certificate is not told the token, and a registered one that changed it is noted", () =>
  withQueen(async ({ queen, tls, wish }) => {
    const other = makeCertificate({ hosts: ["127.0.0.1"], now: new Date() });
    await using stranger = standIn({ tls: other });
    const add = call(queen, queenRoutes.addBeehive, { body: wish(stranger.port) });
    await refused(add, "TLS_NOT_TRUSTED", /not the one that is trusted\n.*fingerprint/s);
    assert.deepEqual(stranger.asked, []);
    await using hive = standIn({ tls });
    await call(queen, queenRoutes.addBeehive, { body: wish(hive.port) });
    const changed = { node_name: "fast", hive_port: stranger.port };
    await refused(call(queen, queenRoutes.updateBeehive, { body: changed }), "TLS_NOT_TRUSTED");
    await hive[Symbol.asyncDispose]();
    await refused(
      call(queen, queenRoutes.testBeehive, { body: { node_name: "fast" } }),
      "NODE_UNREACHABLE",
      /firewall/,
    );
    const [row] = (await call(queen, queenRoutes.listBeehives)).nodes;
    assert.deepEqual([row.status, row.hive_port], ["unreachable", hive.port]);
    assert.match(row.last_error!, /^Cannot reach node 'fast': no hive answers at 127\.0\.0\.1:/);
  }));

Deno.test("TLS and plaintext are not taken for each other", () =>
  withQueen(async ({ queen, tls, wish }) => {
    await using plain = standIn();
    await refused(call(queen, queenRoutes.addBeehive, { body: wish(plain.port) }), "TLS_NOT_TRUSTED", /speak TLS/);
    await using hive = standIn({ tls });
    const body = wish(hive.port, { plaintext: true, ca_cert_file: null });
    await refused(call(queen, queenRoutes.addBeehive, { body }), "NODE_UNREACHABLE", /without TLS\n.*--ca-cert/s);
    assert.deepEqual([plain.asked, hive.asked], [[], []]);
  }));

Deno.test("a hive of another version is not registered", () =>
  withQueen(async ({ queen, tls, wish }) => {
    await using hive = standIn({ tls, version: "9.9.9" });
    await refused(call(queen, queenRoutes.addBeehive, { body: wish(hive.port) }), "VERSION_MISMATCH", /v9\.9\.9/);
  }));

Deno.test("files and fields that cannot be used are named before anybody is asked", () =>
  withQueen(async ({ queen, folder, tls, wish }) => {
    await using hive = standIn({ tls });
    const add = (more: Record<string, unknown>) => call(queen, queenRoutes.addBeehive, { body: wish(hive.port, more) });
    await refused(add({ ca_cert_file: null }), "INVALID_REQUEST", /ca_cert_file: must be given, or plaintext/);
    await refused(add({ plaintext: true }), "INVALID_REQUEST", /and not both/);
    await refused(add({ token_file: "token" }), "INVALID_REQUEST", /token_file: must be an absolute path/);
    for (const address of ["-oProxyCommand=x", "a b", "127.0.0.1:1", "x/y", "user@host", "fe80::1%eth0"]) {
      await refused(add({ address }), "INVALID_REQUEST", /address: must be a host name/);
    }
    await refused(
      add({ token_file: `${folder}/none` }),
      "CONFIG_INVALID",
      /none is missing, empty or readable.*chmod 600/s,
    );
    await Deno.chmod(`${folder}/token`, 0o644);
    await refused(add({}), "CONFIG_INVALID", /readable by others/);
    await Deno.chmod(`${folder}/token`, 0o600);
    await refused(add({ ca_cert_file: `${folder}/token` }), "CONFIG_INVALID", /node 'fast': .*token is no certificate/);
    await refused(add({ node_name: "local" }), "INVALID_REQUEST", /this machine's own/);
    assert.deepEqual(hive.asked, []);
    await call(queen, queenRoutes.addBeehive, { body: wish(hive.port) });
    const body = { node_name: "fast", ssh_host: "x" };
    await refused(call(queen, queenRoutes.updateBeehive, { body }), "INVALID_REQUEST", /ssh_host .*called directly/);
  }));

Deno.test("a worker of such a hive is called at the node's address with its own key, whatever its hive calls it", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/token`, token, { mode: 0o600 });
  const row = {
    node_name: "fast",
    address: "fd00::2",
    token_file: `${folder}/token`,
    ca_cert_file: null,
    hive_port: 9_300,
  };
  const plain = { ...row, transport: "direct" as const, plaintext: true };
  using hive = openDirectHive(plain);
  assert.deepEqual([hive.place, hive.peer.base, hive.peer.token], ["[fd00::2]:9300", "http://[fd00::2]:9300", token]);
  const worker = hive.workerPeer("worker-1", "https://127.0.0.1:8085");
  assert.deepEqual([worker.base, worker.token], ["http://[fd00::2]:8085", workerKey(token, "worker-1")]);
  assert.throws(() => hive.workerPeer("worker-1", "https://127.0.0.1"), { code: "INVALID_RESPONSE" });
  assert.throws(() => hive.workerPeer("worker-1", "nowhere"), { code: "INVALID_RESPONSE" });
  const { cert } = makeCertificate({ hosts: ["127.0.0.1"], now: new Date() });
  await Deno.writeTextFile(`${folder}/hive.crt`, cert);
  const secure = { ...plain, plaintext: false, address: "box", ca_cert_file: `${folder}/hive.crt` };
  using other = openDirectHive(secure);
  const its = other.workerPeer("worker-1", "https://0.0.0.0:8085");
  assert.deepEqual([its.base, its.client === other.peer.client], ["https://box:8085", true]);
  await Deno.remove(folder, { recursive: true });
});
