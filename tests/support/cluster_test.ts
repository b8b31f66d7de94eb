import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { canRunCluster, Cluster, clusterMissing } from "./cluster.ts";
import type { HostOptions } from "./cluster_folder.ts";
import { cables, clusterPath, removeLostCables } from "./cluster_network.ts";
import { eventually, pause } from "./eventually.ts";
import { scanPorts } from "./port_scan.ts";
import { isAlive, processesUnder } from "./processes.ts";
import { type Finished, Program } from "./program.ts";
import { startSshd } from "./sshd.ts";
import { World } from "./world.ts";

const names = ["alpha", "beta", "gamma"];

interface Here {
  readonly world: World;
  readonly cluster: Cluster;
  /** Logs in as the person of this machine does, and runs a command there. */
  start(host: string, command: string): Program;
  ssh(host: string, command: string): Promise<Finished>;
}

function clusterTest(name: string, hosts: readonly (string | HostOptions)[], fn: (here: Here) => Promise<void>): void {
  Deno.test({
    name: name + clusterMissing(),
    ignore: !canRunCluster(),
    async fn() {
      await using world = new World();
      await using cluster = await Cluster.create(world, { hosts });
      const start = (host: string, command: string) =>
        new Program({
          exe: join(cluster.ssh.bin, "ssh"),
          args: ["-o", "BatchMode=yes", host, command],
          cwd: "/",
          env: world.environment(),
          stdin: "open",
        });
      await fn({ world, cluster, start, ssh: (host, command) => start(host, command).ends(10_000) });
    },
  });
}

clusterTest("three machines let a person in, each with its own name, home and processes", names, async (here) => {
  const { cluster, ssh } = here;
  assert.equal(new Set(cluster.hosts.map(({ hostKey }) => hostKey)).size, 3);
  const answers = await Promise.all(names.map((name) => ssh(name, "hostname; echo $HOME; ls -A ~; ls /tmp; ps -A")));
  for (const [i, { code, stdout, stderr }] of answers.entries()) {
    assert.equal(code, 0, stderr);
    const [hostname, home, ...processes] = stdout.trim().split("\n");
    assert.equal(hostname, names[i]);
    assert.equal(home, cluster.hosts[i].userHome, "HOME is that of the user database");
    assert.match(processes[0], /PID +TTY/, "home and /tmp are empty");
    assert.ok(processes.length < 10, `only its own processes: ${stdout}`);
  }
  const { address, home } = cluster.host("beta");
  assert.equal((await ssh(address, "mkdir rbee; echo mine >rbee/file")).code, 0, "its address does as well");
  assert.equal(Deno.readTextFileSync(join(home, "rbee/file")), "mine\n");
  assert.equal((await ssh("alpha", "ls -A ~")).stdout, "");
  const orphan = await ssh("alpha", "setsid sh -c 'sleep 0.1; kill -9 $$' >/dev/null 2>&1 & echo $!");
  const pids = async () => (await ssh("alpha", "ps -A -o pid=")).stdout.trim().split(/\s+/);
  await eventually(async () => !(await pids()).includes(orphan.stdout.trim()), {
    withinMs: 3_000,
    what: "an orphan is buried",
  });
  assert.equal((await ssh("alpha", "getent hosts control")).stdout.split(" ")[0], cluster.host("alpha").controlAddress);
});

clusterTest("a host logs in to this machine when it has the key", ["alpha"], async ({ world, cluster, ssh }) => {
  const { home, controlAddress: address } = cluster.host("alpha");
  const authorizedKeys = join(cluster.ssh.folder, "id_ed25519.pub");
  const port = world.ports.workerStart;
  await using sshd = await startSshd({ folder: join(world.root, "control"), port, authorizedKeys, address });
  Deno.mkdirSync(join(home, ".ssh"), { mode: 0o700 });
  Deno.copyFileSync(join(cluster.ssh.folder, "id_ed25519"), join(home, ".ssh/id_ed25519"));
  Deno.writeTextFileSync(join(home, ".ssh/known_hosts"), `[${address}]:${port} ${sshd.hostKey}\n`);
  const { stdout, stderr } = await ssh("alpha", `ssh -o BatchMode=yes -p ${port} ${address} hostname`);
  assert.equal(stdout, `${Deno.hostname()}\n`, stderr);
});

clusterTest("a pulled cable is silence; plugged in again, the stream goes on", names, async ({ cluster, start }) => {
  const ticking = "while :; do echo tick; sleep 0.1; done";
  const [alpha, beta] = [start("alpha", ticking), start("beta", ticking)];
  for (const program of [alpha, beta]) await program.sees(/tick/, { withinMs: 5_000 });
  await cluster.host("alpha").pullCable();
  await pause(200); // what was under way
  const seen = [alpha.stdout.length, beta.stdout.length];
  await pause(1_500);
  assert.equal(alpha.stdout.length, seen[0]);
  assert.ok(beta.stdout.length > seen[1], "the other machine is not disturbed");
  assert.ok(alpha.isRunning, "nobody was told");
  assert.deepEqual(await scanPorts(cluster.host("alpha").address, [22]), { open: [], refused: 0, silent: 1 });
  await cluster.host("alpha").plugCable();
  await eventually(() => alpha.stdout.length > seen[0], { withinMs: 5_000, what: "the stream goes on" });
  for (const program of [alpha, beta]) {
    program.signal("SIGTERM");
    await program.ends(5_000);
  }
});

for (const cut of [false, true]) {
  const name = cut ? "a power cut ends everything and tells nobody" : "a reboot ends everything and who was connected";
  clusterTest(`${name}; then a login works`, ["alpha"], async ({ cluster, start, ssh }) => {
    const host = cluster.host("alpha");
    const login = start("alpha", "echo kept >~/file; echo gone >/tmp/file; setsid sleep 1000 & echo here; sleep 1000");
    await login.sees(/here/, { withinMs: 5_000 });
    const before = host.processes().map(({ pid }) => pid);
    assert.ok(before.length >= 4, "sshd, its session and two sleeps");
    await host.reboot({ cut });
    assert.deepEqual(before.filter(isAlive), []);
    if (cut) {
      await pause(1_000);
      assert.ok(login.isRunning, "nobody was told");
      await login.write("are you there?\n"); // and is refused: the host knows nothing of this connection
    }
    assert.equal((await login.ends(5_000)).code, 255);
    assert.equal((await ssh("alpha", "cat ~/file; ls /tmp")).stdout, "kept\n");
  });
}

clusterTest(
  "sshd's listener and its sessions die one without the other",
  ["alpha"],
  async ({ cluster, start, ssh }) => {
    const host = cluster.host("alpha");
    const login = start("alpha", "echo here; sleep 1000");
    await login.sees(/here/, { withinMs: 5_000 });
    await host.killSshd("listener");
    assert.ok(login.isRunning);
    assert.equal((await ssh("alpha", "true")).code, 255);
    await host.killSshd("sessions");
    assert.equal((await login.ends(5_000)).code, 255);
    await host.startSshd();
    assert.equal((await ssh("alpha", "true")).code, 0);
  },
);

clusterTest("a scan finds sshd alone, also beside a listener on loopback, and finds one that is open", [{
  name: "alpha",
  home: { "tools/deno": Deno.execPath() },
}], async ({ cluster, start }) => {
  const host = cluster.host("alpha");
  const listen = (hostname: string, port: number) =>
    start(
      "alpha",
      `tools/deno eval 'Deno.listen({ hostname: "${hostname}", port: ${port} }); await new Promise(setInterval)'`,
    );
  const listeners = [listen("127.0.0.1", 9200)];
  const isUp = (port: number) =>
    eventually(() => host.listeners().some((one) => one.port === port), { withinMs: 5_000, what: `${port} listens` });
  await isUp(9200);
  assert.deepEqual(host.openPorts(), [22]);
  const scan = await scanPorts(host.address);
  assert.deepEqual(scan, { open: [22], refused: 65_534, silent: 0 });
  listeners.push(listen("0.0.0.0", 9201));
  await isUp(9201);
  assert.deepEqual(host.openPorts(), [22, 9201]);
  assert.deepEqual((await scanPorts(host.address, [22, 9200, 9201])).open, [22, 9201]);
  await host.powerOff();
  for (const listener of listeners) await listener.ends(5_000);
});

clusterTest("a host has the shell, environment, sshd and disk that a test wants", [
  { name: "alpha", shell: "/usr/sbin/nologin", env: { RBEE_A: "one two", RBEE_B: "3" } },
  { name: "beta", sshd: ['ForceCommand echo "$RBEE_A:$RBEE_B"'], env: { RBEE_A: "one two", RBEE_B: "3" } },
  { name: "gamma", diskBytes: 4 << 20 },
], async ({ cluster, ssh }) => {
  assert.match((await ssh("alpha", "true")).stdout, /not available/);
  assert.equal((await ssh("beta", "true")).stdout, "one two:3\n");
  const gamma = cluster.host("gamma");
  assert.ok(await gamma.fillDisk() > 3 << 20);
  assert.match((await ssh("gamma", "echo text >file")).stderr, /No space left on device/);
  await gamma.reboot();
  assert.match((await ssh("gamma", "echo text >file")).stderr, /No space left on device/, "the disk outlives a reboot");
  await gamma.freeDisk();
  assert.equal((await ssh("gamma", "echo text >file")).code, 0);
  assert.equal(Deno.readTextFileSync(join(gamma.home, "file")), "text\n");
});

/** The network namespaces of all processes. */
function networkNamespaces(): string[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    try {
      return /^\d+$/.test(name) ? Deno.readLinkSync(`/proc/${name}/ns/net`) : [];
    } catch {
      return []; // it has ended
    }
  });
}

Deno.test({
  name: "a cluster that is disposed leaves no process, no namespace, no cable and no file" + clusterMissing(),
  ignore: !canRunCluster(),
  async fn() {
    const world = new World();
    const cluster = await Cluster.create(world, { hosts: names });
    await removeLostCables();
    const mine = cables().filter((name) => name.startsWith(cluster.cablePrefix));
    assert.equal(mine.length, 3, "a living cluster's cables are nobody's to remove");
    const inside = cluster.hosts.flatMap((host) => host.processes().map(({ pid }) => pid));
    const outside = processesUnder(world.root).map(({ pid }) => pid);
    const namespaces = inside.map((pid) => Deno.readLinkSync(`/proc/${pid}/ns/net`));
    assert.ok(inside.length >= 3 && outside.length >= 6 && new Set(namespaces).size === 3);
    await cluster[Symbol.asyncDispose]();
    assert.deepEqual([...inside, ...outside].filter(isAlive), []);
    assert.deepEqual(cables().filter((name) => mine.includes(name)), []);
    const left = networkNamespaces();
    assert.deepEqual(namespaces.filter((namespace) => left.includes(namespace)), []);
    await world[Symbol.asyncDispose]();
    assert.throws(() => Deno.statSync(world.root), Deno.errors.NotFound);
  },
});

/** Runs TypeScript that has `World`, `Cluster` and `newTemporaryFolder`, in a process of its own. */
function script(body: string): Program {
  const imports = ["cluster", "temporary", "world"].map((name) =>
    `import("${new URL(`./${name}.ts`, import.meta.url)}")`
  );
  const text = `const [{ Cluster }, { newTemporaryFolder }, { World }] = await Promise.all([${imports}]); ${body}`;
  return new Program({
    exe: Deno.execPath(),
    args: ["eval", "--config", new URL("../../deno.json", import.meta.url).pathname, text],
    cwd: "/",
    env: { HOME: "/tmp", PATH: "/usr/bin:/bin" },
  });
}

Deno.test({
  name: "a test that is killed takes its cluster along, and the next run clears the rest away" + clusterMissing(),
  ignore: !canRunCluster(),
  async fn() {
    const killed = script(
      `const world = new World();
       const cluster = await Cluster.create(world, { hosts: ["alpha", "beta", "gamma"] });
       const login = cluster.hosts.map((host) => host.run(["sh", "-c", "setsid sleep 1000 & sleep 1000"]));
       while (cluster.hosts.some((host) => host.processes().length < 4)) await new Promise((r) => setTimeout(r, 5));
       const pids = cluster.hosts.flatMap((host) => host.processes().map(({ pid }) => pid));
       console.log(JSON.stringify({ pids, root: world.root, cablePrefix: cluster.cablePrefix }) + " held");
       await new Promise(setInterval);`,
    );
    const [, json] = await killed.sees(/^(.*) held$/m, { withinMs: 10_000, stream: "stdout" });
    const { pids, root, cablePrefix } = JSON.parse(json) as { pids: number[]; root: string; cablePrefix: string };
    const all = [...pids, ...processesUnder(root).map(({ pid }) => pid)];
    assert.ok(all.length >= 18, `${all.length} processes`);
    assert.equal(cables().filter((name) => name.startsWith(cablePrefix)).length, 3);
    killed.signal("SIGKILL");
    await killed.ends(5_000);
    await eventually(() => !all.some(isAlive), { withinMs: 5_000, what: "every process is dead", everyMs: 5 });
    await removeLostCables();
    assert.deepEqual(cables().filter((name) => name.startsWith(cablePrefix)), []);
    const next = script("newTemporaryFolder()");
    assert.equal((await next.ends(5_000)).code, 0, next.account());
    assert.throws(() => Deno.statSync(root), Deno.errors.NotFound);
  },
});

Deno.test({
  name: "a cable that a killed test left is taken away by name" + clusterMissing(),
  ignore: !canRunCluster(),
  async fn() {
    // No network has this number, so no cluster holds it; nor has another run of this test.
    const prefix = `rbt${100_000 + Deno.pid}-`;
    const args = ["link", "add", `${prefix}0`, "type", "veth", "peer", "name", `${prefix}1`];
    const added = new Program({ exe: "ip", args, cwd: "/", env: { PATH: clusterPath } });
    assert.equal((await added.ends(5_000)).code, 0, added.account());
    await removeLostCables();
    assert.deepEqual(cables().filter((name) => name.startsWith(prefix)), []);
  },
});
