import assert from "node:assert/strict";
import type { RbeeError } from "../protocol/error.ts";
import { directFields, directLines } from "./setup_direct.ts";

const here = (path: string) => `/home/me/${path}`;

Deno.test("an address has a port or not; what is said becomes fields, what is not said none", () => {
  const of = (address: string) => directFields({ address }, here);
  assert.deepEqual(of("192.168.1.20"), { address: "192.168.1.20" });
  assert.deepEqual(of("192.168.1.20:9300"), { address: "192.168.1.20", hive_port: 9_300 });
  assert.deepEqual(of("box.home.arpa:9300"), { address: "box.home.arpa", hive_port: 9_300 });
  assert.deepEqual(of("fd00::2"), { address: "fd00::2" });
  assert.deepEqual(of("[fd00::2]:9300"), { address: "fd00::2", hive_port: 9_300 });
  const all = { tokenFile: "t", caCert: "c", hivePort: 9_300 };
  assert.deepEqual(directFields(all, here), {
    hive_port: 9_300,
    token_file: "/home/me/t",
    ca_cert_file: "/home/me/c",
  });
  assert.deepEqual(directFields({ plaintext: true }, here), { plaintext: true });
  assert.deepEqual(directFields({}, here), {});
});

Deno.test("an address that is none, or has its port twice, is wrong usage", () => {
  const usage = (error: RbeeError) => error.code === "USAGE";
  for (const address of ["https://box", "box:", "box:80", "box:99999", "[fd00::2", "a b", "me@box/x", "box/x"]) {
    assert.throws(() => directFields({ address }, here), usage, address);
  }
  assert.throws(() => directFields({ address: "box:9300", hivePort: 9_300 }, here), usage);
});

Deno.test("what is shown names the files and never what is in them", () => {
  const node = {
    ...{ node_name: "fast", transport: "direct" as const, status: "reachable" as const, hive_port: 9_200 },
    ...{ last_connected_unix: null, last_error: null, address: "fd00::2", token_file: "/t" },
  };
  assert.deepEqual(directLines({ ...node, ca_cert_file: null, plaintext: true }), [
    "  Hive: http://[fd00::2]:9200, called directly",
    "  Token: in /t",
    "  TLS: none (plaintext)",
  ]);
  const secure = directLines({ ...node, ca_cert_file: "/nowhere/hive.crt", plaintext: false });
  assert.deepEqual(secure.slice(-1), ["  Certificate: /nowhere/hive.crt"]);
});
