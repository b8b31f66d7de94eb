import assert from "node:assert/strict";
import { makeCertificate } from "../hive/certificate.ts";
import { RbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { call } from "./call.ts";
import type { Log } from "./log.ts";
import { fromFileUrl } from "./path.ts";
import { endpoint, serve, type TlsFiles } from "./serve.ts";
import { clientTrusting, fingerprintOf, readCertificate } from "./trust.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet };
const now = new Date();
const certificate = (hosts = ["127.0.0.1"], at = now) => makeCertificate({ hosts, now: at });

function serving(tls?: TlsFiles) {
  return serve({
    program: "rbee-hive",
    endpoints: [endpoint(hiveRoutes.listWorkers, () => ({ workers: [] }))],
    auth: { token: "secret", openNeedsToken: true },
    log: quiet,
    hostname: "127.0.0.1",
    port: 0,
    tls,
  });
}

/** Asks what serves with the one while the other is trusted. Returns the answer, or the error. */
async function ask(served: TlsFiles | undefined, trusted: string, base?: (url: string) => string): Promise<unknown> {
  const server = serving(served);
  using client = clientTrusting(trusted);
  try {
    const peer = { program: "rbee-hive", base: base?.(server.url) ?? server.url, client, token: "secret" };
    return await call(peer, hiveRoutes.listWorkers);
  } catch (error) {
    return error;
  } finally {
    await server.stop(0);
  }
}

function refusal(error: unknown): string {
  assert.ok(error instanceof RbeeError, String(error));
  assert.equal(error.code, "TLS_NOT_TRUSTED", error.message);
  assert.match(String(error.details.address), /^127\.0\.0\.1:\d+$/);
  return `${error.message.replace(/:\d+/, "")}\n${error.hint}`;
}

Deno.test("the one certificate is trusted, and the token passes", async () => {
  const mine = certificate();
  assert.deepEqual(await ask(mine, mine.cert), { workers: [] });
});

Deno.test("another certificate for the same address gets no token, and a person is told what to compare", async () => {
  const text = refusal(await ask(certificate(), certificate().cert));
  assert.match(text, /^Cannot trust rbee-hive at 127\.0\.0\.1: its certificate is not the one that is trusted$/m);
  assert.match(text, /rbee-hive fingerprint/);
});

Deno.test("a certificate for another address, one that has expired, and one that is not valid yet are refused", async () => {
  const elsewhere = certificate(["10.0.0.1"]);
  assert.match(refusal(await ask(elsewhere, elsewhere.cert)), /its certificate is for another name or address/);
  for (const year of ["2001", "2090"]) {
    const wrong = certificate(["127.0.0.1"], new Date(`${year}-01-01`));
    assert.match(refusal(await ask(wrong, wrong.cert)), /its certificate is not valid now\n.*clocks/);
  }
});

Deno.test("who speaks no TLS is told apart from who is not there", async () => {
  const { cert } = certificate();
  const plain = await ask(undefined, cert, (url) => url.replace("http:", "https:"));
  assert.match(refusal(plain), /it does not speak TLS\n.*--plaintext/);
  using client = clientTrusting(cert);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const nobody = `https://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`;
  listener.close();
  const absent = await call({ program: "rbee-hive", base: nobody, client }, hiveRoutes.health, { attempts: 1 })
    .catch((error) => error);
  assert.equal(absent.code, "CONNECTION_TIMEOUT");
});

Deno.test("behind TLS Host and Origin are checked as everywhere, for HTTP/1 and HTTP/2", async () => {
  const mine = certificate();
  const server = serving(mine);
  for (const http2 of [false, true]) {
    using client = Deno.createHttpClient({ caCerts: [mine.cert], http2, http1: !http2, allowHost: true });
    const get = async (headers: Record<string, string>) => {
      const response = await fetch(`${server.url}/v1/workers/list`, {
        headers: { authorization: "Bearer secret", ...headers },
        client,
      });
      await response.body?.cancel();
      return response.status;
    };
    const name = `http2: ${http2}`;
    assert.equal(await get({}), 200, name);
    assert.equal(await get({ host: "evil.example" }), 403, name);
    assert.equal(await get({ origin: server.url }), 200, name);
    assert.equal(await get({ origin: "https://127.0.0.1" }), 403, name);
    assert.equal(await get({ origin: "https://evil.example" }), 403, name);
  }
  await server.stop(0);
});

Deno.test("a certificate's file is read, and what is none is named", async () => {
  const folder = await Deno.makeTempDir();
  const { cert, key } = certificate();
  await Deno.writeTextFile(`${folder}/c.pem`, cert);
  assert.equal(readCertificate(`${folder}/c.pem`, "the certificate"), cert);
  assert.match(fingerprintOf(cert)!, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  const refused = (text: string, why: RegExp) => {
    Deno.writeTextFileSync(`${folder}/bad.pem`, text);
    assert.throws(() => readCertificate(`${folder}/bad.pem`, "the certificate of node 'fast'"), (error) => {
      assert.ok(error instanceof RbeeError && error.code === "CONFIG_INVALID");
      assert.match(error.message, /^Cannot use the certificate of node 'fast': /);
      assert.match(error.message, why);
      return true;
    });
  };
  refused("", /is no certificate/);
  refused(cert.slice(0, 200), /is no certificate/);
  refused(cert.replace(/^MII.{20}/m, "MIIAAAAAAAAAAAAAAAAAAAAA"), /is no certificate/);
  refused(key, /is a private key/);
  assert.throws(() => readCertificate(`${folder}/missing`, "it"), /cannot be read/);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a process that trusts no authority trusts the given certificate alone; its children have the authorities", async () => {
  // what a public authority is to everybody: here one that this process is told to trust
  const folder = await Deno.makeTempDir();
  const [authority, mine] = [certificate(), certificate()];
  await Deno.writeTextFile(`${folder}/authority.pem`, authority.cert);
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, ...authority, onListen() {} }, () => new Response("in"));
  const script = `
    import { clientTrusting, trustNoAuthority } from ${JSON.stringify(new URL("./trust.ts", import.meta.url))};
    import { childEnvironment } from ${JSON.stringify(new URL("./environment.ts", import.meta.url))};
    if (Deno.args[0] === "alone") trustNoAuthority();
    const client = clientTrusting(Deno.readTextFileSync("mine.pem"));
    const url = "https://127.0.0.1:${server.addr.port}/";
    console.log(await fetch(url, { client }).then((r) => r.text(), (e) => /UnknownIssuer/.test(e.message) ? "out" : e.message));
    console.log(childEnvironment().DENO_TLS_CA_STORE);
    Deno.exit(0);`;
  await Deno.writeTextFile(`${folder}/mine.pem`, mine.cert);
  await Deno.writeTextFile(`${folder}/script.ts`, script);
  const config = fromFileUrl(new URL("../deno.json", import.meta.url));
  for (const [how, expected] of [["besides", "in\nsystem\n"], ["alone", "out\nsystem\n"]]) {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", "--config", config, "script.ts", how],
      env: { DENO_TLS_CA_STORE: "system", SSL_CERT_FILE: `${folder}/authority.pem`, SSL_CERT_DIR: folder + "/none" },
      cwd: folder,
    }).output();
    assert.equal(new TextDecoder().decode(stdout), expected, new TextDecoder().decode(stderr));
  }
  await server.shutdown();
  await Deno.remove(folder, { recursive: true });
});
