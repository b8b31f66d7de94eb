/**
 * Transport `direct`, with the real executables: a hive listens on an address of this machine that is not loopback, and
 * whoever has its certificate and its token can use it and its workers; nobody else can.
 */
import assert from "node:assert/strict";
import { makeCertificate } from "../../hive/certificate.ts";
import { workerKey } from "../../runtime/auth.ts";
import { join } from "../../runtime/path.ts";
import { eventually } from "../support/eventually.ts";
import { type NetworkAddress, networkAddress } from "../support/network.ts";
import type { Program } from "../support/program.ts";
import { type Wire, World } from "../support/world.ts";

const token = "a-token-that-a-person-has-made-up";
const has = (exe: string, ...args: string[]) =>
  new Deno.Command(exe, { args, stdin: "null", stdout: "null", stderr: "null" }).output().then(
    (o) => o.success,
    () => false,
  );
const hasCurl = await has("curl", "--version");
const hasOpenssl = await has("openssl", "version");

/** Starts a hive on the network and waits until it has published its address. */
async function startHive(world: World, { listen }: NetworkAddress, ...more: string[]): Promise<Program> {
  const hive = world.start("rbee-hive", ["daemon", "--listen", listen, ...more], { env: { RBEE_HIVE_TOKEN: token } });
  await eventually(() => !hive.isRunning || world.hivePid() === hive.pid, {
    withinMs: 10_000,
    what: "a hive on the network",
    seen: () => hive.account(),
  });
  assert.ok(hive.isRunning, hive.account());
  return hive;
}

/** Calls a hive or a worker. Returns status and JSON. */
async function ask(
  client: Deno.HttpClient | undefined,
  request: string,
  options: { key?: string; body?: unknown } = {},
): Promise<{ status: number; json: Wire }> {
  const [method, url] = request.split(" ");
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${options.key ?? token}`, "content-type": "application/json" },
    body: options.body === undefined ? undefined : JSON.stringify(options.body),
    client,
  });
  return { status: response.status, json: await response.json() };
}

async function startWorker(client: Deno.HttpClient | undefined, base: string): Promise<{ id: string; url: string }> {
  const body = { model_ref: "builtin:tiny", backend: "cpu", device: 0 };
  const { status, json } = await ask(client, `POST ${base}/v1/workers/spawn`, { body });
  assert.equal(status, 200, JSON.stringify(json));
  await eventually(async () => {
    const { json } = await ask(client, `GET ${base}/v1/workers/list`);
    return (json.workers as unknown as Wire[])[0]?.state as unknown === "idle";
  }, { withinMs: 20_000, what: "an idle worker" });
  return { id: String(json.worker_id), url: String(json.url) };
}

const output = async (exe: string, args: string[]) => {
  const { stdout, stderr } = await new Deno.Command(exe, { args, stdin: "null" }).output();
  return { stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
};

Deno.test("a hive on the network and its workers speak TLS with one certificate; nobody gets in without it and the token", async () => {
  await using world = new World();
  const where = networkAddress();
  const hive = await startHive(world, where);
  const base = `https://${where.address}:${world.ports.hive}`;
  if (where.listen === where.address) assert.equal(world.hiveUrl(), base);
  const shown = await world.run("rbee-hive", ["fingerprint", "--json"]);
  const { file, sha256 } = JSON.parse(shown.stdout);
  assert.equal(file, join(world.home, "tls/hive.crt"));
  if (hasOpenssl) {
    const { stdout } = await output("openssl", ["x509", "-noout", "-fingerprint", "-sha256", "-in", file]);
    assert.equal(stdout.trim().split("=")[1], sha256);
  }
  const pem = Deno.readTextFileSync(file);
  using client = Deno.createHttpClient({ caCerts: [pem] });
  assert.equal((await ask(client, `GET ${base}/v1/health`)).json.status as unknown, "alive");
  assert.equal((await ask(client, `GET ${base}/v1/workers/list`, { key: "wrong" })).status, 401);
  const worker = await startWorker(client, base);
  const key = workerKey(token, worker.id);
  const generate = `POST https://${where.address}:${new URL(worker.url).port}/v1/inference`;
  const body = { prompt: "Once upon a time", max_tokens: 8, stream: false };
  const generated = await ask(client, generate, { key, body });
  assert.deepEqual([generated.status, generated.json.total_tokens as unknown], [200, 8]);
  assert.equal((await ask(client, generate, { key: token, body })).status, 401, "the hive's token is no worker's key");

  // the same without the certificate, and without TLS
  for (const url of [base, generate.split(" ")[1]]) {
    await assert.rejects(ask(undefined, `GET ${url}`), /invalid peer certificate/);
    await assert.rejects(ask(client, `GET ${url.replace("https:", "http:")}`), TypeError);
  }
  if (hasCurl) {
    const { stdout, stderr } = await output("curl", [
      ...["-sSN", "--cacert", file, "-H", `authorization: Bearer ${key}`, "-H", "content-type: application/json"],
      ...["-d", JSON.stringify({ ...body, stream: true }), generate.split(" ")[1]],
    ]);
    assert.equal(stdout.match(/"token":/g)?.length, 8, stdout + stderr);
    assert.ok(stdout.trimEnd().endsWith("data: [DONE]"), stdout);
  }

  // what a worker was given, and what of it others can see
  const folder = join(world.home, "workers", worker.id);
  for (const name of ["tls.crt", "tls.key"]) {
    assert.equal(Deno.statSync(join(folder, name)).mode! & 0o777, 0o600, name);
  }
  const lines = world.processes().map((p) => p.args.join(" "));
  const logs = [...Deno.readDirSync(join(world.home, "logs"))].map((e) => join(world.home, "logs", e.name));
  const secrets = [token, key, Deno.readTextFileSync(join(world.home, "tls/hive.key")).split("\n")[1]];
  for (const text of [...lines, ...logs.map((path) => Deno.readTextFileSync(path)), hive.stderr]) {
    assert.ok(!secrets.some((secret) => text.includes(secret)), "no secret in a command line or a log");
  }
  const status = await world.run("rbee-hive", ["status"], { env: { RBEE_HIVE_TOKEN: token } });
  assert.match(status.stdout, /^Pool .*: https:.*\n1 worker:/);
  hive.signal("SIGTERM");
  assert.equal((await hive.ends(20_000)).code, 0, hive.account());
  await world.nothingLeft(5_000);

  const again = await startHive(world, where);
  assert.equal(Deno.readTextFileSync(file), pem, "the certificate of the first start");
  again.signal("SIGTERM");
  await again.ends(20_000);
});

Deno.test("without a token a hive does not listen on the network; without TLS only when that is said outright", async () => {
  await using world = new World();
  const where = networkAddress();
  const refused = await world.run("rbee-hive", ["daemon", "--listen", where.listen, "--plaintext"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /TOKEN_REQUIRED/);
  const none = await world.run("rbee-hive", ["fingerprint"]);
  assert.deepEqual([none.code, none.stdout], [1, ""]);
  assert.match(none.stderr, /there is no .*hive\.crt \(NOT_FOUND\)\n\nSuggestion: .*--listen ADDRESS/);
  const hive = await startHive(world, where, "--plaintext");
  assert.match(hive.stderr, /no TLS: everybody on this network can read tokens and prompts/);
  const base = `http://${where.address}:${world.ports.hive}`;
  const worker = await startWorker(undefined, base);
  assert.match(worker.url, /^http:/);
  const generate = `POST http://${where.address}:${new URL(worker.url).port}/v1/inference`;
  const body = { prompt: "Once", max_tokens: 2, stream: false };
  assert.equal((await ask(undefined, generate, { key: workerKey(token, worker.id), body })).status, 200);
  hive.signal("SIGTERM");
  assert.equal((await hive.ends(20_000)).code, 0, hive.account());
  await world.nothingLeft(5_000);
});

Deno.test("a worker that is to speak TLS and finds no certificate beside it says so", async () => {
  await using world = new World();
  const options = { env: { RBEE_WORKER_KEY: "k" } };
  const { code, stderr } = await world.run("llm-worker-rbee", ["--model", "x.gguf", "--port", "0", "--tls"], options);
  assert.equal(code, 1);
  assert.match(stderr, /Cannot speak TLS: tls\.crt and tls\.key cannot be read.*CONFIG_INVALID/);
});

Deno.test("a person's own certificate serves as well; one that is not for the address keeps the hive from starting, and says why", async () => {
  await using world = new World();
  const where = networkAddress();
  const first = await startHive(world, where);
  first.signal("SIGTERM");
  await first.ends(20_000);
  const made = Deno.readTextFileSync(join(world.home, "tls/hive.crt"));
  const daemon = async (config: Record<string, string>) => {
    world.configure({ hive: config });
    const { code, stderr } = await world.run("rbee-hive", ["daemon"], { env: { RBEE_HIVE_TOKEN: token } });
    assert.equal(code, 1, stderr);
    return stderr;
  };
  assert.match(await daemon({ listen: "192.0.2.99" }), /Cannot listen on 192\.0\.2\.99: .* \(CONFIG_INVALID\)/);
  assert.match(await daemon({ listen: "nowhere.invalid" }), /Cannot listen on nowhere\.invalid: .* \(CONFIG_INVALID\)/);
  assert.equal(Deno.readTextFileSync(join(world.home, "tls/hive.crt")), made, "made anew for no wrong address");

  const file = (name: string) => join(world.userHome, name);
  const write = (host: string) => {
    const { cert, key } = makeCertificate({ hosts: [host], now: new Date() });
    Deno.writeTextFileSync(file("own.crt"), cert);
    Deno.writeTextFileSync(file("own.key"), key, { mode: 0o600 });
  };
  write("10.99.99.99");
  const own = { listen: where.listen, tls_cert: file("own.crt"), tls_key: file("own.key") };
  const wrongName = await daemon(own);
  assert.match(wrongName, /own\.crt: its certificate is for another name or address \(CONFIG_INVALID\)/);
  const wrongKey = await daemon({ tls_key: join(world.home, "tls/hive.key") });
  assert.match(wrongKey, /Cannot use \[hive\] tls_key: .* not the key of .*own\.crt \(CONFIG_INVALID\)/);
  world.configure({ hive: own });
  write(where.address);
  const last = await startHive(world, where);
  using client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(file("own.crt"))] });
  const base = `https://${where.address}:${world.ports.hive}`;
  assert.equal((await startWorker(client, base)).url.slice(0, 8), "https://");
  last.signal("SIGTERM");
  assert.equal((await last.ends(20_000)).code, 0);
  await world.nothingLeft(5_000);
});

Deno.test("a person registers such a hive, sees it, and is told what is wrong with a token or a certificate", async () => {
  await using far = new World();
  await using near = new World();
  const where = networkAddress();
  const hive = await startHive(far, where);
  await near.startQueen();
  const file = (name: string, text: string) => {
    Deno.writeTextFileSync(join(near.userHome, name), text, { mode: 0o600 });
  };
  file("fast.token", `${token}\n`);
  file("fast.crt", Deno.readTextFileSync(join(far.home, "tls/hive.crt")));
  file("wrong.token", "wrong\n");
  const place = `${where.address}:${far.ports.hive}`;
  const add = (name: string, ...more: string[]) =>
    near.run("rbee", ["setup", "add-node", "--name", name, "--transport", "direct", "--address", place, ...more]);
  const secure = ["--token-file", "fast.token", "--ca-cert", "fast.crt"];
  const added = await add("fast", ...secure);
  assert.equal(added.code, 0, added.stderr);
  assert.match(added.stderr, /Asking the hive at .*\n.*The hive takes the token. Node 'fast' saved to the registry/);
  const list = await near.run("rbee", ["setup", "list-nodes"]);
  assert.match(
    list.stdout,
    new RegExp(`fast \\(${where.address}\\)\n  Status: reachable\n.*\n  Hive: https://${place},`),
  );
  const show = await near.run("rbee", ["setup", "show-node", "--name", "fast"]);
  assert.match(show.stdout, /Token: in .*fast\.token\n {2}Certificate: .*fast\.crt\n {2}SHA-256: ([0-9A-F]{2}:){31}/);
  const tested = await near.run("rbee", ["setup", "test-node", "--name", "fast"]);
  assert.match(tested.stderr, /Asking the hive at .*\n.*Node 'fast' is reachable/);

  const said = await near.run("rbee", ["infer", "--node", "fast", "--prompt", "hello", "--max-tokens", "4"]);
  assert.equal(said.code, 0, said.stderr);
  assert.match(said.stdout, /\S/);
  assert.equal(far.processes("llm-worker-rbee").length, 1, "it was computed there");
  const workers = await near.run("rbee", ["workers", "list"]);
  assert.match(workers.stdout, /^worker-\w+ +fast +idle .* port \d+$/m);
  assert.ok(hive.isRunning, "its operator's hive is left alone");

  const wrongToken = await add("other", "--token-file", "wrong.token", "--ca-cert", "fast.crt");
  assert.equal(wrongToken.code, 1);
  assert.match(wrongToken.stderr, new RegExp(`${place}: the key is invalid or missing.*config\\.toml`, "s"));
  const plain = await add("other", "--token-file", "fast.token", "--plaintext");
  assert.equal(plain.code, 1);
  assert.match(plain.stderr, /NODE_UNREACHABLE/);
  Deno.removeSync(join(far.home, "tls"), { recursive: true });
  hive.signal("SIGTERM");
  await hive.ends(20_000);
  const changed = await startHive(far, where);
  const untrusted = await near.run("rbee", ["setup", "test-node", "--name", "fast"]);
  assert.equal(untrusted.code, 1);
  assert.match(untrusted.stderr, /its certificate is not the one that is trusted.*TLS_NOT_TRUSTED.*fingerprint/s);
  const now = JSON.parse((await near.run("rbee", ["setup", "show-node", "--name", "fast", "--json"])).stdout);
  assert.deepEqual([now.status, now.token_file], ["unreachable", join(near.userHome, "fast.token")]);
  for (const name of ["beehives.db", "beehives.db-wal", "logs/queen.log"]) {
    const bytes = Deno.readFileSync(join(near.home, name));
    assert.ok(!new TextDecoder("latin1").decode(bytes).includes(token), name);
  }
  changed.signal("SIGTERM");
  await changed.ends(20_000);
  await far.nothingLeft(5_000);
});

Deno.test("a queen uses a hive of her own machine that listens on the network", async () => {
  await using world = new World();
  world.configure({ hive: { listen: networkAddress().listen } });
  const env = { RBEE_HIVE_TOKEN: token };
  const { code, stdout, stderr } = await world.run("rbee", ["infer", "--prompt", "hello", "--max-tokens", "4"], {
    env,
  });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /\S/);
  await world.nothingLeft(5_000);
});
