import assert from "node:assert/strict";
import { newBeehive } from "../protocol/node.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { doneMark, parseText } from "../protocol/sse.ts";
import { environment } from "../runtime/environment.ts";
import { join } from "../runtime/path.ts";
import { makeHandler } from "../runtime/serve.ts";
import { PLATFORM } from "../runtime/version.ts";
import { CommandShell } from "../tests/support/command_shell.ts";
import { eventually } from "../tests/support/eventually.ts";
import { canRunSshd, me, SshHome } from "../tests/support/sshd.ts";
import { World } from "../tests/support/world.ts";
import { installEndpoints } from "./install_endpoints.ts";
import { type NodeRegistry, openRegistry } from "./nodes.ts";
import type { RemoteShell } from "./remote_shell.ts";
import { NodeFolder } from "./testdata/node_folder.ts";
import { noLog } from "./testdata/stand_in.ts";

const token = "t".repeat(64);

interface Bench extends AsyncDisposable {
  readonly registry: NodeRegistry;
  /** Nodes whose hive was to be stopped. */
  readonly stopped: string[];
  post(route: { path: string }, body: unknown, signal?: AbortSignal): Promise<Response>;
}

/** The endpoints without a socket, over a real registry that knows one node, `box`. */
async function bench(node: NodeFolder, shellOf: () => Promise<RemoteShell>): Promise<Bench> {
  const registry = await openRegistry(join(node.root, "beehives.db"));
  const row = { node_name: "box", ssh_host: "box", ssh_user: "me", install_path: node.prefix };
  registry.add(newBeehive.parse(row), 1);
  const stopped: string[] = [];
  const beforeReplace = (name: string) => Promise.resolve(void stopped.push(name));
  const handler = makeHandler({
    program: "queen-rbee",
    endpoints: installEndpoints({ registry, log: noLog, shellOf, beforeReplace, onInstalled: () => {} }),
    auth: { token, openNeedsToken: false },
    log: noLog,
  }, { stopping: new AbortController().signal, open: new Set(), listen: { hostname: "127.0.0.1", port: 8080 } });
  return {
    registry,
    stopped,
    post: (route, body, signal) =>
      handler(
        new Request(`http://127.0.0.1:8080${route.path}`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json", host: "127.0.0.1:8080" },
          body: JSON.stringify(body),
          signal,
        }),
      ),
    [Symbol.asyncDispose]: () => Promise.resolve(registry[Symbol.dispose]()),
  };
}

const here = (node: NodeFolder) =>
  new CommandShell({ words: ["sh", "-c"], env: { HOME: node.home, PATH: environment("PATH") ?? "/usr/bin:/bin" } });

const json = (text: string) => JSON.parse(text);

/** Returns the last two events of a stream: the result or error, and the end mark. */
async function lastOf(response: Response) {
  const events = parseText(await response.text());
  assert.equal(events.at(-1)?.data, doneMark);
  return json(events.at(-2)!.data);
}

Deno.test("install streams narration, progress, one result and the end mark; the registry learns the platform", async () => {
  using node = new NodeFolder();
  await using queen = await bench(node, () => Promise.resolve(here(node)));
  const response = await queen.post(queenRoutes.installBeehive, { node_name: "box", backend: "cpu" });
  const events = parseText(await response.text());
  const kinds = events.map(({ event, data }) => event ?? (data === doneMark ? "end" : "result"));
  assert.deepEqual([...new Set(kinds)], ["narration", "progress", "result", "end"]);
  assert.deepEqual(kinds.slice(-3), ["narration", "result", "end"]);
  const said = json(events[0].data);
  assert.deepEqual([said.actor, said.action, said.target], ["queen-rbee", "node-install", "box"]);
  assert.equal(json(events.at(-2)!.data).install_path, node.prefix);
  assert.equal(queen.registry.beehive("box")?.platform, PLATFORM);
  assert.deepEqual(queen.stopped, ["box"]);
  const gone = await lastOf(await queen.post(queenRoutes.uninstallBeehive, { node_name: "box" }));
  assert.deepEqual(gone, { node_name: "box", install_path: node.prefix, notes: [] });
});

Deno.test("an unknown node, this machine, and no token are plain errors", async () => {
  using node = new NodeFolder();
  await using queen = await bench(node, () => Promise.reject(new Error("never asked")));
  const unknown = await queen.post(queenRoutes.installBeehive, { node_name: "other" });
  assert.deepEqual([unknown.status, (await unknown.json()).error.code], [404, "NODE_NOT_FOUND"]);
  const local = await queen.post(queenRoutes.uninstallBeehive, { node_name: "local" });
  assert.deepEqual([local.status, (await local.json()).error.code], [400, "INVALID_REQUEST"]);
  const bad = await queen.post(queenRoutes.installBeehive, { node_name: "box", backend: "rocm" });
  assert.equal(bad.status, 400);
});

Deno.test("a failure is one error event; a fault of ours shows no text of its own", async () => {
  using node = new NodeFolder();
  Deno.writeTextFileSync(node.prefix, "a file in the way");
  await using queen = await bench(node, () => Promise.resolve(here(node)));
  const { error } = await lastOf(await queen.post(queenRoutes.installBeehive, { node_name: "box", backend: "cpu" }));
  assert.equal(error.code, "INSTALL_PATH_NOT_WRITABLE");
  assert.ok(error.correlation_id && error.hint);
  await using faulty = await bench(new NodeFolder(), () => Promise.reject(new Error("secret")));
  const fault = await lastOf(await faulty.post(queenRoutes.installBeehive, { node_name: "box" }));
  assert.equal(fault.error.code, "INTERNAL_ERROR");
  assert.ok(!JSON.stringify(fault).includes("secret"));
});

Deno.test("one installation a node: a second is refused, and the place is free when the first client left", async () => {
  using node = new NodeFolder();
  let [begun, aborted] = [0, 0];
  const waiting: RemoteShell = {
    run(_command, { signal } = {}) {
      begun++;
      return new Promise((_resolve, reject) =>
        signal!.addEventListener("abort", () => {
          aborted++;
          reject(signal!.reason);
        })
      );
    },
  };
  const until = (holds: () => boolean) => eventually(holds, { withinMs: 1_000, what: String(holds) });
  await using queen = await bench(node, () => Promise.resolve(waiting));
  const first = await queen.post(queenRoutes.installBeehive, { node_name: "box" });
  const second = await queen.post(queenRoutes.uninstallBeehive, { node_name: "box" });
  assert.deepEqual([second.status, (await second.json()).error.code], [503, "TEMPORARY_UNAVAILABLE"]);
  await until(() => begun === 1);
  await first.body!.cancel();
  await until(() => aborted === 1);
  const third = await queen.post(queenRoutes.installBeehive, { node_name: "box" });
  assert.equal(third.status, 200);
  await until(() => begun === 2);
  await third.body!.cancel();
  await until(() => aborted === 2);
});

Deno.test({
  name: "over a real sshd the real executables arrive whole, in a folder with a space",
  ignore: !canRunSshd(),
  async fn() {
    await using world = new World();
    using node = new NodeFolder("my rbee");
    const home = new SshHome(world);
    await using _sshd = await home.startHost(world, "box");
    const words = [join(home.bin, "ssh"), "-o", "BatchMode=yes", "-i", join(home.folder, "id_ed25519"), `${me()}@box`];
    const shell = new CommandShell({ words, env: { PATH: environment("PATH") ?? "/usr/bin:/bin" } });
    await using queen = await bench(node, () => Promise.resolve(shell));
    const install = { node_name: "box", backend: "cpu" };
    const first = await lastOf(await queen.post(queenRoutes.installBeehive, install));
    assert.equal(first.files_sent, 2, JSON.stringify(first));
    assert.deepEqual(node.faults(), []);
    const second = await lastOf(await queen.post(queenRoutes.installBeehive, install));
    assert.deepEqual([second.files_sent, second.files_kept], [0, 2]);
    const gone = await lastOf(await queen.post(queenRoutes.uninstallBeehive, { node_name: "box" }));
    assert.equal(gone.node_name, "box");
    assert.equal(node.current, undefined);
  },
});
