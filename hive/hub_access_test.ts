import assert from "node:assert/strict";
import { hubAccess, refusalOf } from "./hub_access.ts";

const from = (variables: Record<string, string>) => hubAccess((name) => variables[name]);

Deno.test("the token is that of HF_TOKEN, its other name, the named file or the usual one, in this order", () => {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/named`, "hf_named\n");
    Deno.mkdirSync(`${folder}/home/.cache/huggingface`, { recursive: true });
    Deno.writeTextFileSync(`${folder}/home/.cache/huggingface/token`, "hf_usual");
    Deno.writeTextFileSync(`${folder}/token`, "hf_of_home");
    const all = { HF_TOKEN: "hf_a", HUGGING_FACE_HUB_TOKEN: "hf_b", HF_TOKEN_PATH: `${folder}/named` };
    const home = { HOME: `${folder}/home` };
    assert.deepEqual(from({ ...all, ...home }), {
      ...{ endpoint: "https://huggingface.co", token: "hf_a", tokenFrom: "HF_TOKEN" },
    });
    assert.equal(from({ ...all, ...home, HF_TOKEN: "" }).token, "hf_b");
    assert.equal(from({ HF_TOKEN_PATH: `${folder}/named`, ...home }).token, "hf_named");
    assert.equal(from({ ...home, HF_HOME: folder }).token, "hf_of_home");
    assert.equal(from({ ...home }).token, "hf_usual");
    assert.equal(from({ HOME: folder }).token, undefined);
    assert.equal(from({ HF_TOKEN: "two\nlines", HOME: folder }).token, undefined, "it would end a header");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("an endpoint is an address without a slash at its end, or an error", () => {
  assert.equal(
    from({ HF_ENDPOINT: "https://mirror.example/hf/", HOME: "/none" }).endpoint,
    "https://mirror.example/hf",
  );
  for (const wrong of ["mirror", "ftp://x", "https://me:secret@mirror", "https://m?x=1"]) {
    assert.throws(() => from({ HF_ENDPOINT: wrong, HOME: "/none" }), /Cannot use HF_ENDPOINT/);
  }
});

Deno.test("a refusal says whether a token is missing, wrong or not accepted, or that nothing is there", () => {
  const wanted = { name: "acme/model", revision: "v2", file: "a.gguf" };
  const access = { endpoint: "https://hub.example" };
  const withToken = { ...access, token: "hf_x", tokenFrom: "HF_TOKEN" };
  const told = (status: number, code: string, token = true) => {
    const headers: HeadersInit = code ? { "x-error-code": code } : {};
    const error = refusalOf(new Response(null, { status, headers }), wanted, token ? withToken : access);
    assert.ok(!JSON.stringify([error.message, error.details, error.hint]).includes("hf_x"));
    return `${error.code}: ${error.message} | ${error.hint}`;
  };
  assert.match(
    told(401, "GatedRepo", false),
    /^ACCESS_DENIED.*HF_TOKEN is not set.*https:\/\/hub.example\/acme\/model/,
  );
  assert.match(told(403, "GatedRepo"), /^ACCESS_DENIED.*terms are not accepted.*https:\/\/hub.example\/acme\/model/);
  assert.match(told(401, ""), /^ACCESS_DENIED.*token of HF_TOKEN is wrong/);
  assert.match(told(403, ""), /^ACCESS_DENIED.*may not read/);
  assert.match(told(401, "RepoNotFound", false), /^MODEL_NOT_FOUND.*no repository acme\/model, or it is private/);
  assert.match(told(404, "RepoNotFound"), /^MODEL_NOT_FOUND.*no repository acme\/model \|/);
  assert.match(told(404, "RevisionNotFound"), /^MODEL_NOT_FOUND.*no revision v2/);
  assert.match(told(404, "EntryNotFound"), /^MODEL_NOT_FOUND.*no file a.gguf/);
  assert.match(told(503, ""), /^DOWNLOAD_FAILED.*status 503/);
});
