import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { clientTrusting } from "../runtime/trust.ts";
import { makeCertificate } from "./certificate.ts";

const now = new Date();

/** Serves with the one and asks while trusting the other. Returns the answer, or what Deno says. */
async function ask(host: string, served: { cert: string; key: string }, trusted: string): Promise<string> {
  const hostname = host === "localhost" ? "127.0.0.1" : host;
  const server = Deno.serve({ hostname, port: 0, ...served, onListen() {} }, () => new Response("trusted"));
  const client = clientTrusting(trusted);
  try {
    return await (await fetch(`https://${host.includes(":") ? `[${host}]` : host}:${server.addr.port}/`, { client }))
      .text();
  } catch (error) {
    return (error as Error).message;
  } finally {
    client.close();
    await server.shutdown();
  }
}

const hasIpv6 = Deno.networkInterfaces().some((one) => one.address === "::1");

Deno.test("a certificate serves the names and addresses that it was made for, and no others", async () => {
  const made = makeCertificate({ hosts: ["127.0.0.1", "::1", "localhost"], now });
  for (const host of ["127.0.0.1", "localhost", ...(hasIpv6 ? ["::1"] : [])]) {
    assert.equal(await ask(host, made, made.cert), "trusted", host);
  }
  assert.match(await ask("127.0.0.2", made, made.cert), /certificate not valid for name/);
});

Deno.test("only that key is trusted, also against another certificate for the same name", async () => {
  const mine = makeCertificate({ hosts: ["127.0.0.1"], now });
  const other = makeCertificate({ hosts: ["127.0.0.1"], now });
  assert.match(await ask("127.0.0.1", other, mine.cert), /invalid peer certificate: UnknownIssuer/);
  const again = makeCertificate({ hosts: ["127.0.0.1", "10.0.0.1"], now, key: mine.key });
  assert.notEqual(again.cert, mine.cert);
  assert.equal(again.key, mine.key);
  assert.equal(await ask("127.0.0.1", again, mine.cert), "trusted", "made anew with the key that is trusted already");
});

Deno.test("a certificate says what it was told, and its own key has signed it", () => {
  const hosts = ["192.168.1.20", "fd00::2", "::ffff:1.2.3.4", "fe80:0:0:0:1:2:3:4", "box.home.arpa"];
  const many = Array.from({ length: 40 }, (_, n) => `10.0.${n}.1`); // a length of more than one byte
  const { cert } = makeCertificate({ hosts: [...hosts, ...many], now: new Date("2026-03-01T12:00:00Z") });
  const read = new X509Certificate(cert);
  assert.ok(read.verify(read.publicKey));
  assert.equal(read.ca, false);
  assert.match(read.subject, /^CN=rbee-hive [0-9a-f]{16}$/);
  assert.equal(read.subject, read.issuer);
  assert.equal(new Date(read.validFrom).toISOString(), "2026-02-28T12:00:00.000Z");
  assert.equal(new Date(read.validTo).toISOString(), "2036-02-27T12:00:00.000Z");
  for (const host of [...hosts, ...many]) {
    assert.ok(/^[a-z]+\./.test(host) ? read.checkHost(host) : read.checkIP(host), `${host}: ${read.subjectAltName}`);
  }
  assert.equal(read.checkIP("10.0.99.1"), undefined);
});

Deno.test("the end of the year 2049 is passed in the other form of a time", () => {
  const { cert } = makeCertificate({ hosts: ["localhost"], now: new Date("2045-01-01T00:00:00Z") });
  assert.equal(new Date(new X509Certificate(cert).validTo).getUTCFullYear(), 2054);
});

Deno.test("what is no name and what is no such key is refused", () => {
  assert.throws(() => makeCertificate({ hosts: ["a b"], now }), TypeError);
  assert.throws(() => makeCertificate({ hosts: ["localhost"], now, key: "no key" }));
});

const hasOpenssl = await new Deno.Command("openssl", { args: ["version"], stdout: "null", stderr: "null" }).output()
  .then((o) => o.success, () => false);

Deno.test({
  name: "openssl reads and verifies a certificate, strictly",
  ignore: !hasOpenssl,
  async fn() {
    const folder = await Deno.makeTempDir();
    await Deno.writeTextFile(
      `${folder}/c.pem`,
      makeCertificate({ hosts: ["127.0.0.1", "fd00::2", "localhost"], now }).cert,
    );
    const run = async (...args: string[]) => {
      const { stdout, stderr } = await new Deno.Command("openssl", { args, cwd: folder }).output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    assert.equal(await run("verify", "-x509_strict", "-CAfile", "c.pem", "c.pem"), "c.pem: OK\n");
    const text = await run("x509", "-in", "c.pem", "-noout", "-text");
    assert.match(text, /Signature Algorithm: ecdsa-with-SHA256/);
    assert.match(text, /Basic Constraints: critical\s+CA:FALSE/);
    assert.match(text, /Key Usage: critical\s+Digital Signature\n/);
    assert.match(text, /Extended Key Usage: ?\s+TLS Web Server Authentication/);
    assert.match(text, /IP Address:127\.0\.0\.1, IP Address:FD00:0:0:0:0:0:0:2, DNS:localhost/);
    await Deno.remove(folder, { recursive: true });
  },
});
