import assert from "node:assert/strict";
import { newTemporaryFolder, removeFolder } from "../tests/support/temporary.ts";

/** Calls what listens on a socket, and what listens on a port, as a program that has begun as all of ours do. */
const script = (socket: string, port: number) => `
  import { goAroundProxy } from ${JSON.stringify(new URL("./environment.ts", import.meta.url).href)};
  goAroundProxy();
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: ${JSON.stringify(socket)} } });
  const ask = async (url, more) => (await fetch(url, more)).text();
  const near = await ask("http://localhost:9200/", { client });
  const own = await ask("http://127.0.0.1:${port}/");
  console.log([near, own].join());
`;

Deno.test("neither a proxy nor its exceptions come between rbee's own programs", async () => {
  const folder = newTemporaryFolder();
  const socket = `${folder}/s`;
  await using _near = Deno.serve({ path: socket, onListen() {} }, () => new Response("socket"));
  await using own = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("port"));
  Deno.writeTextFileSync(`${folder}/ask.ts`, script(socket, own.addr.port));
  for (const exceptions of ["", "localhost,127.0.0.1", "*", "example.org, .localhost"]) {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--no-config", `${folder}/ask.ts`],
      env: { HTTP_PROXY: "http://127.0.0.1:1", NO_PROXY: exceptions },
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    assert.equal(new TextDecoder().decode(stdout), "socket,port\n", exceptions);
  }
  removeFolder(folder);
});
