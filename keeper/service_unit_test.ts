import assert from "node:assert/strict";
import { runOnce } from "../runtime/process.ts";
import { launchdAgent, serviceMark, type ServiceWish, systemdUnit } from "./service_unit.ts";

const mine: ServiceWish = { bin: "/home/me/.local/bin", system: false, environment: {} };

/** Returns what systemd itself says of a unit whose program lies in a folder of the worst name. */
async function verify(wish: ServiceWish, change: (text: string) => string = (text) => text): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const bin = `${folder}/b %n x`;
    await Deno.mkdir(bin);
    await Deno.writeTextFile(`${bin}/queen-rbee`, "#!/bin/sh\n", { mode: 0o755 });
    const unit = `${folder}/rbee-queen.service`;
    await Deno.writeTextFile(unit, change(systemdUnit({ ...wish, bin })));
    const args = [...(wish.system ? [] : ["--user"]), "verify", "--man=no", unit];
    const output = await runOnce("env", [`XDG_RUNTIME_DIR=${folder}`, "systemd-analyze", ...args]);
    return `exit code ${output?.code}\n${output?.stdout}${output?.stderr}`;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a person's unit restarts her after a failure and finds the hive beside her", () => {
  const text = systemdUnit(mine);
  for (
    const line of [
      "Environment=PATH=/home/me/.local/bin:/usr/local/bin:/usr/bin:/bin",
      "ExecStart=/home/me/.local/bin/queen-rbee daemon",
      "Restart=on-failure",
      "StandardOutput=journal",
      "WantedBy=default.target",
    ]
  ) assert.ok(text.split("\n").includes(line), `${line} in\n${text}`);
  assert.ok(text.includes(serviceMark));
  assert.doesNotMatch(text, /User=|DynamicUser/);
});

Deno.test("a system's unit runs as the person who called sudo, or as nobody in particular, never as root", () => {
  const system = { ...mine, bin: "/usr/local/bin", system: true };
  const ofPerson = systemdUnit({ ...system, user: "me" });
  assert.match(ofPerson, /^User=me$/m);
  assert.doesNotMatch(ofPerson, /RBEE_HOME|DynamicUser/);
  const ofNobody = systemdUnit(system);
  assert.match(ofNobody, /^DynamicUser=yes\nStateDirectory=rbee-queen$/m);
  assert.match(ofNobody, /^Environment=RBEE_HOME=\/var\/lib\/rbee-queen$/m);
  for (const text of [ofPerson, ofNobody]) {
    assert.match(text, /^WantedBy=multi-user\.target$/m);
    assert.match(text, /^Environment=PATH=\/usr\/local\/bin:\/usr\/bin:\/bin$/m);
  }
});

Deno.test("a path with a space, a quote or a percent sign is one word and no specifier", () => {
  const text = systemdUnit({ ...mine, bin: '/home/a "b" %h', environment: { RBEE_HOME: "/data/my rbee" } });
  assert.match(text, /^ExecStart="\/home\/a \\"b\\" %%h\/queen-rbee" daemon$/m);
  assert.match(text, /^Environment="RBEE_HOME=\/data\/my rbee"$/m);
});

const hasSystemd = await runOnce("systemd-analyze", ["--version"]) !== undefined;

Deno.test({
  name: "systemd finds nothing wrong with any of the units",
  ignore: !hasSystemd,
  fn: async () => {
    const wishes: ServiceWish[] = [
      mine,
      { ...mine, environment: { RBEE_HOME: "/a b", XDG_DATA_HOME: '/50% "x"' } },
      { ...mine, system: true },
      { ...mine, system: true, user: "root" },
    ];
    for (const wish of wishes) {
      const said = await verify(wish);
      assert.match(said, /^exit code 0\n/);
      assert.doesNotMatch(said, /rbee-queen/, said);
    }
    const broken = await verify(mine, (text) => text.replace("Restart=on-failure", "Restart=sometimes"));
    assert.match(broken, /rbee-queen/, "a fault would have been seen");
  },
});

Deno.test("the agent of launchd is well-formed and keeps her running after a failure", () => {
  const wish = { ...mine, bin: "/Users/a & b/<bin>", environment: { RBEE_HOME: "/x" } };
  const text = launchdAgent(wish, { label: "org.rbee.queen", log: "/Users/me/Library/Logs/rbee-queen.log" });
  assert.ok(text.includes("<string>/Users/a &amp; b/&lt;bin&gt;/queen-rbee</string><string>daemon</string>"));
  assert.match(text, /<key>KeepAlive<\/key>\s*<dict><key>SuccessfulExit<\/key><false\/><\/dict>/);
  assert.match(text, /<key>PATH<\/key><string>\/Users\/a &amp; b/);
  assert.match(text, /<!--(?:(?!--)[^])+-->/, "no -- inside a comment");
  const open: string[] = [];
  for (const [, end, name, alone] of text.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)) {
    if (alone) continue;
    if (end) assert.equal(open.pop(), name);
    else open.push(name);
  }
  assert.deepEqual(open, []);
});
