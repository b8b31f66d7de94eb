/** Steps about installing on this machine. */
import assert from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { defaultFile } from "../../../keeper/config.ts";
import { digestFile } from "../../../runtime/digest.ts";
import { dirname, join } from "../../../runtime/path.ts";
import { installedManifest, readManifest } from "../../../runtime/shipped.ts";
import type { Table } from "../../support/gherkin.ts";
import { withSystem } from "../../support/mounts.ts";
import { Program } from "../../support/program.ts";
import { executablePath, executables } from "../../support/world.ts";
import { must, type Scenario, suite } from "./scenario.ts";

/** What `~` and the machine's `/` stand for. */
function inHome(scenario: Scenario, path: string): string {
  return path.replace(/^~/, scenario.world.userHome);
}

function onMachine(scenario: Scenario, path: string): string {
  const folder = machine(scenario);
  return path.replace("/usr/local", `${folder}/usr-local`).replace("/var/lib", `${folder}/var-lib`)
    .replace(/^\/etc/, `${folder}/etc`);
}

const machine = (scenario: Scenario) => join(scenario.world.root, "machine");

async function isWholeInstallation(bin: string): Promise<void> {
  const { manifest } = await readManifest(executables);
  assert.deepEqual((await readManifest(bin)).manifest, manifest);
  for (const [name, file] of Object.entries(manifest.files)) {
    assert.equal((await digestFile(join(bin, name))).sha256, file.sha256, name);
    assert.equal(Deno.statSync(join(bin, name)).mode! & 0o777, 0o755, name);
  }
  assert.equal(Deno.readLinkSync(join(bin, "rbee")), "rbee-keeper");
  const unpacked = Object.keys(manifest.files).filter((name) => name.startsWith("llm-worker")).map((n) => `.${n}`);
  const names = [...Deno.readDirSync(bin)].map(({ name }) => name).sort();
  assert.deepEqual(names, [...Object.keys(manifest.files), ...unpacked, installedManifest, "rbee"].sort());
}

async function runOnMachine(scenario: Scenario, [exe, ...args]: string[]): Promise<void> {
  const { world } = scenario;
  const env = world.environment({ RBEE_HOME: "" });
  const program = new Program({ ...withSystem(machine(scenario), exe, args), cwd: world.root, env });
  world.programs.push(program);
  scenario.command = program;
  scenario.finished = await program.ends(30_000);
}

/** The paths of all files and links below a folder. */
function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(join(folder, name)) : [join(folder, name)]
  ).sort();
}

suite.step("a person who has never used rbee", function () {
  Deno.removeSync(join(this.world.userHome, ".config"), { recursive: true });
});

suite.step("their {string} holds {string}", function (path: string, text: string) {
  const file = inHome(this, path);
  Deno.mkdirSync(dirname(file), { recursive: true });
  Deno.writeTextFileSync(file, text);
});

// RBEE_HOME moves the models; this person has not set it.
suite.step("they run {string}", async function (line: string) {
  this.env.RBEE_HOME = "";
  await this.start(line);
  delete this.env.RBEE_HOME;
  await this.ends();
});

suite.step("root of a machine runs {string}", async function (line: string) {
  await runOnMachine(this, [executablePath("rbee"), ...line.split(" ")]);
});

suite.step("somebody who is not root runs {string}", async function (line: string) {
  const asSomebody = ["/usr/bin/unshare", "--user", "--map-user=1234"];
  await runOnMachine(this, [...asSomebody, executablePath("rbee"), ...line.split(" ")]);
});

suite.step(
  "{string} holds the four programs of this build, their manifest and the link rbee",
  async function (bin: string) {
    await isWholeInstallation(inHome(this, bin));
    assert.equal(must(this.finished, "an end").code, 0);
  },
);

suite.step(
  "the machine's {string} holds the four programs of this build, their manifest and the link rbee",
  async function (bin: string) {
    await isWholeInstallation(onMachine(this, bin));
    assert.equal(must(this.finished, "an end").code, 0);
  },
);

suite.step("there are these folders", function (table: Table) {
  for (const [path] of table.rows) assert.ok(Deno.statSync(inHome(this, path)).isDirectory, path);
});

suite.step("{string} holds every key as a comment", function (path: string) {
  assert.equal(Deno.readTextFileSync(inHome(this, path)), defaultFile());
});

suite.step("the completions of bash, zsh and fish are in their places", function () {
  const places = {
    bash: "~/.local/share/bash-completion/completions/rbee",
    zsh: "~/.local/share/zsh/site-functions/_rbee",
    fish: "~/.config/fish/completions/rbee.fish",
  };
  for (const path of Object.values(places)) assert.match(Deno.readTextFileSync(inHome(this, path)), /rbee __complete/);
});

suite.step("stdout says in this order", function (table: Table) {
  const { stdout } = must(this.finished, "an end");
  assert.match(stdout, new RegExp(table.rows.map(([pattern]) => pattern).join("[^]*")));
});

suite.step("the installed {string} answers with text", async function (line: string) {
  const bin = join(this.world.userHome, ".local/bin");
  const { queen, hive, workerStart, workerEnd } = this.world.ports;
  const program = new Program({
    exe: join(bin, "rbee"),
    args: line.split(" "),
    cwd: this.world.userHome,
    env: this.world.environment({
      PATH: `${bin}:/usr/bin:/bin`,
      RBEE_QUEEN_PORT: String(queen),
      RBEE_HIVE_PORT: String(hive),
      RBEE_WORKERS_PORT_START: String(workerStart),
      RBEE_WORKERS_PORT_END: String(workerEnd),
    }),
  });
  this.world.programs.push(program);
  const { code, stdout, stderr } = await program.ends(20_000);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /\S/);
});

suite.step("their {string} still holds {string}", function (path: string, text: string) {
  assert.equal(Deno.readTextFileSync(inHome(this, path)), text);
});

suite.step("these files and no others are left of it all", function (table: Table) {
  const wanted = table.rows.map(([path]) => inHome(this, path)).sort();
  assert.deepEqual(filesBelow(this.world.userHome), wanted);
});

suite.step("the machine's {string} puts the models of all into {string}", function (file: string, folder: string) {
  const config = parseToml(Deno.readTextFileSync(onMachine(this, file)));
  assert.equal((config.models as { dir?: string }).dir, folder);
  assert.equal(Deno.statSync(onMachine(this, file)).mode! & 0o777, 0o644);
});

suite.step("on that machine everybody may read {string}", function (folder: string) {
  assert.equal(Deno.statSync(onMachine(this, folder)).mode! & 0o777, 0o755);
});

suite.step("the machine is as it was before", function () {
  assert.deepEqual(filesBelow(machine(this)), []);
  assert.throws(() => Deno.statSync(onMachine(this, "/etc/rbee")), Deno.errors.NotFound);
});
