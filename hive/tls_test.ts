import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { RbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import type { Log } from "../runtime/log.ts";
import { paths as pathsOf } from "../runtime/paths.ts";
import { endpoint, serve } from "../runtime/serve.ts";
import { makeCertificate } from "./certificate.ts";
import { checkOwnCertificate, type HiveTls, hiveTls, type TlsConfig } from "./tls.ts";

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet };

interface Ground {
  readonly folder: string;
  /** Returns what a hive that starts now would show; its client is closed already. */
  start(config?: Partial<TlsConfig>): HiveTls;
}

async function withHome(use: (ground: Ground) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "rbee-tls-" });
  const paths = pathsOf((name) => name === "RBEE_HOME" ? folder : undefined);
  const start = (config: Partial<TlsConfig> = {}) => {
    using tls = hiveTls(paths, { listen: "10.1.2.3", ...config });
    return tls;
  };
  try {
    await use({ folder, start });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const mode = (path: string) => Deno.statSync(path).mode! & 0o777;
const refused = (start: () => unknown, why: RegExp) =>
  assert.throws(start, (error) => {
    assert.ok(error instanceof RbeeError && error.code === "CONFIG_INVALID", String(error));
    assert.match(error.message, why);
    return true;
  });

Deno.test("a hive's certificate is made once, for its address, in a folder of its own; the key is its user's alone", () =>
  withHome(({ folder, start }) => {
    const first = start();
    assert.ok(first.isNew);
    assert.equal(first.file, `${folder}/tls/hive.crt`);
    assert.deepEqual([mode(`${folder}/tls`), mode(`${folder}/tls/hive.key`)], [0o700, 0o600]);
    assert.equal(Deno.readTextFileSync(first.file), first.cert);
    const read = new X509Certificate(first.cert);
    assert.ok(read.checkIP("10.1.2.3") && read.checkIP("127.0.0.1") && read.checkHost("localhost"));
    assert.equal(first.fingerprint, read.fingerprint256);
    const second = start();
    assert.deepEqual([second.isNew, second.cert, second.key], [false, first.cert, first.key]);
  }));

Deno.test("for another address it is made anew with the same key, so that it stays trusted; and kept again", () =>
  withHome(({ start }) => {
    const first = start();
    const other = start({ listen: "fd00::99" });
    assert.deepEqual([other.isNew, other.key], [true, first.key]);
    assert.notEqual(other.cert, first.cert);
    assert.equal(start({ listen: "fd00::99" }).isNew, false);
    assert.equal(start({ listen: "box.home.arpa" }).isNew, true);
    assert.equal(start({ listen: "box.home.arpa" }).isNew, false);
    start({ listen: "0.0.0.0" });
    assert.equal(start({ listen: "0.0.0.0" }).isNew, false);
  }));

Deno.test("a certificate that is damaged, nearly over, or not that key's is made anew", () =>
  withHome(({ folder, start }) => {
    const first = start();
    Deno.writeTextFileSync(first.file, first.cert.slice(0, 100));
    assert.ok(start().isNew);
    const old = makeCertificate({ hosts: ["10.1.2.3"], now: new Date("2010-01-01"), key: first.key });
    Deno.writeTextFileSync(first.file, old.cert);
    assert.ok(start().isNew);
    Deno.writeTextFileSync(first.file, makeCertificate({ hosts: ["10.1.2.3"], now: new Date() }).cert);
    assert.ok(start().isNew);
    Deno.writeTextFileSync(`${folder}/tls/hive.key`, "damaged");
    assert.ok(start().isNew);
    assert.equal(start().isNew, false);
  }));

Deno.test("a person's own certificate is used as it is; a wrong, open or missing key is named", () =>
  withHome(({ folder, start }) => {
    const own = makeCertificate({ hosts: ["10.1.2.3"], now: new Date() });
    const config = { tls_cert: `${folder}/own.crt`, tls_key: `${folder}/own.key` };
    refused(() => start(config), /^Cannot use \[hive\] tls_cert: .*own\.crt cannot be read/);
    Deno.writeTextFileSync(config.tls_cert, own.cert);
    refused(() => start(config), /tls_key: .*cannot be read/);
    Deno.writeTextFileSync(config.tls_key, own.key);
    Deno.chmodSync(config.tls_key, 0o644);
    refused(() => start(config), /tls_key: .*everybody can read it/);
    Deno.chmodSync(config.tls_key, 0o600);
    const used = start(config);
    assert.deepEqual([used.cert, used.file, used.isNew], [own.cert, config.tls_cert, false]);
    Deno.writeTextFileSync(config.tls_key, makeCertificate({ hosts: ["10.1.2.3"], now: new Date() }).key);
    refused(() => start(config), /tls_key: .*is not the key of/);
    assert.throws(() => Deno.statSync(`${folder}/tls`), Deno.errors.NotFound);
  }));

Deno.test("a hive that its own certificate keeps from itself says so before anybody else finds out", () =>
  withHome(async ({ folder }) => {
    const own = makeCertificate({ hosts: ["10.1.2.3"], now: new Date() });
    const config = { listen: "127.0.0.1", tls_cert: `${folder}/own.crt`, tls_key: `${folder}/own.key` };
    Deno.writeTextFileSync(config.tls_cert, own.cert);
    Deno.writeTextFileSync(config.tls_key, own.key, { mode: 0o600 });
    using tls = hiveTls(pathsOf((name) => name === "RBEE_HOME" ? folder : undefined), config);
    const alive = { status: "alive", version: "0", api_version: "v1", home_id: "0" } as const;
    const server = serve({
      ...{ program: "rbee-hive", endpoints: [endpoint(hiveRoutes.health, () => alive)], log: quiet, tls },
      ...{ auth: { token: "t", openNeedsToken: true }, hostname: "127.0.0.1", port: 0 },
    });
    const hive = { program: "rbee-hive", base: server.url, client: tls.client };
    await assert.rejects(checkOwnCertificate(hive, tls), (error) => {
      assert.ok(error instanceof RbeeError && error.code === "CONFIG_INVALID", String(error));
      assert.match(error.message, /own\.crt: its certificate is for another name or address$/);
      assert.match(String(error.details.names), /10\.1\.2\.3/);
      return true;
    });
    await server.stop(0);
  }));
