import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { checkHostAndOrigin, checkToken, loadOrCreateToken, readToken, tokenName, workerKey } from "./auth.ts";

const code = (run: () => void): string => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof RbeeError);
    return error.code;
  }
  return "allowed";
};
const request = (headers: Record<string, string>) => new Request("http://127.0.0.1:8080/", { headers });
const from = (host: string, origin?: string) => request({ host, ...(origin && { origin }) });
const here = { hostname: "127.0.0.1", port: 8080 };

Deno.test("only a route's own kind of token opens it", () => {
  const policy = { token: "right", openNeedsToken: false, isWorkerKey: (key: string) => key === "workers" };
  const sends = (token: string) => request({ authorization: `Bearer ${token}` });
  assert.equal(code(() => checkToken(request({}), "token", policy)), "MISSING_API_KEY");
  assert.equal(code(() => checkToken(request({ authorization: "Basic right" }), "token", policy)), "MISSING_API_KEY");
  assert.equal(code(() => checkToken(sends("wrong"), "token", policy)), "INVALID_API_KEY");
  assert.equal(code(() => checkToken(sends("workers"), "token", policy)), "INVALID_API_KEY");
  assert.equal(code(() => checkToken(sends("workers"), "worker", policy)), "allowed");
  assert.equal(code(() => checkToken(sends("right"), "token", policy)), "allowed");
  assert.equal(code(() => checkToken(sends("wrong"), "open", policy)), "allowed");
  assert.equal(code(() => checkToken(sends("wrong"), "open", { ...policy, openNeedsToken: true })), "INVALID_API_KEY");
});

Deno.test("a web page of another origin, or under another name for this machine, is kept out", () => {
  assert.equal(code(() => checkHostAndOrigin(from("127.0.0.1:8080"), here)), "allowed");
  assert.equal(code(() => checkHostAndOrigin(from("localhost:8080", "http://localhost:8080"), here)), "allowed");
  assert.equal(code(() => checkHostAndOrigin(from("evil.example:8080"), here)), "HOST_NOT_ALLOWED");
  assert.equal(
    code(() => checkHostAndOrigin(from("127.0.0.1:8080", "http://evil.example"), here)),
    "ORIGIN_NOT_ALLOWED",
  );
  assert.equal(
    code(() => checkHostAndOrigin(from("127.0.0.1:8080", "http://localhost:3000"), here)),
    "ORIGIN_NOT_ALLOWED",
  );
  assert.equal(code(() => checkHostAndOrigin(from("127.0.0.1:8080", "null"), here)), "ORIGIN_NOT_ALLOWED");
});

Deno.test("a token file is made once, for its owner alone, and one that others can read is replaced", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/queen.token`;
    const token = loadOrCreateToken(path);
    assert.equal(loadOrCreateToken(path), token);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    Deno.chmodSync(path, 0o644);
    assert.equal(readToken(path), undefined);
    assert.notEqual(loadOrCreateToken(path), token);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("a worker's key follows from its hive's token and its id, and a token's name gives nothing away", () => {
  assert.equal(workerKey("t", "worker-1"), workerKey("t", "worker-1"));
  assert.notEqual(workerKey("t", "worker-1"), workerKey("t", "worker-2"));
  assert.match(tokenName("secret"), /^token:[0-9a-f]{6}$/);
});

Deno.test("of two programs that make a token at once, both use the first one's", () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/queen.token`;
  const look = Deno.statSync;
  try {
    // the other one writes its token just after ours has looked and found none
    Deno.statSync = (file) => {
      Deno.statSync = look;
      Deno.writeTextFileSync(path, "the first one's\n", { mode: 0o600 });
      throw new Deno.errors.NotFound(String(file));
    };
    assert.equal(loadOrCreateToken(path), "the first one's");
    assert.equal(readToken(path), "the first one's");
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["queen.token"]);
  } finally {
    Deno.statSync = look;
    Deno.removeSync(folder, { recursive: true });
  }
});
