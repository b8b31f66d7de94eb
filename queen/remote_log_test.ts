import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { type ProcessStream, streamProcess } from "../runtime/process_stream.ts";
import { headOf, logCommand, type LogWish, openRemoteLog, type StreamingShell } from "./remote_log.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const encoded = (head: ReturnType<typeof headOf>) => head && [head.found, new TextDecoder().decode(head.rest)];

Deno.test("what rc files print before the script's own line is left out", () => {
  strictEqual(headOf(bytes("welcome\nrbee-log: o")), undefined);
  deepStrictEqual(encoded(headOf(bytes("welcome é\nrbee-log: ok\nline é\n"))), [true, "line é\n"]);
  deepStrictEqual(encoded(headOf(bytes("rbee-log: none\r\n"))), [false, ""]);
  strictEqual(headOf(bytes("echo rbee-log: ok\n")), undefined);
});

/** This machine's own shell in place of a node's, in a home with these logs. */
class HereShell implements StreamingShell, Disposable {
  readonly home = Deno.makeTempDirSync({ prefix: "rbee-log-" });
  readonly started: ProcessStream[] = [];

  constructor(logs: Record<string, string>) {
    Deno.mkdirSync(`${this.home}/logs`);
    for (const [name, text] of Object.entries(logs)) Deno.writeTextFileSync(`${this.home}/logs/${name}`, text);
  }

  stream(command: string, options: { input: string }): ProcessStream {
    const process = streamProcess("sh", ["-c", `echo from an rc file; RBEE_HOME='${this.home}' ${command}`], options)!;
    this.started.push(process);
    return process;
  }

  whyGone(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async read(wish: Partial<LogWish>, signal = new AbortController().signal): Promise<string> {
    const whole = { node: "box", lines: 100, follow: false, ...wish };
    let text = "";
    const decoder = new TextDecoder();
    try {
      for await (const piece of await openRemoteLog(this, whole, signal)) {
        text += decoder.decode(piece, { stream: true });
      }
    } finally {
      await this.started.at(-1)?.ended; // what was told to stop takes a moment
    }
    return text;
  }

  [Symbol.dispose](): void {
    for (const process of this.started) process.stop();
    Deno.removeSync(this.home, { recursive: true });
  }
}

Deno.test("the last lines of a log, going back into its older files", async () => {
  using shell = new HereShell({
    "hive.log": "4\n5\n",
    "hive.log.1": "2\n3\n",
    "hive.log.2": "1\n",
    "worker-1.log": "w\n",
  });
  strictEqual(await shell.read({}), "1\n2\n3\n4\n5\n");
  strictEqual(await shell.read({ lines: 3 }), "3\n4\n5\n");
  strictEqual(await shell.read({ lines: 0 }), "");
  strictEqual(await shell.read({ worker: "worker-1" }), "w\n");
});

Deno.test("of a hive that could not start there is what it wrote before its log was open", async () => {
  using shell = new HereShell({ "hive.log": "", "hive.boot.log": "no such library\n" });
  strictEqual(await shell.read({}), "no such library\n");
});

Deno.test("a log that is not there is an error with its code", async () => {
  using shell = new HereShell({});
  await rejects(shell.read({}), (e) => e instanceof RbeeError && e.code === "NOT_FOUND");
  await rejects(shell.read({ worker: "worker-1" }), (e) => e instanceof RbeeError && e.code === "WORKER_NOT_FOUND");
});

Deno.test("following goes on until its reader leaves, and then nothing runs there any more", async () => {
  using shell = new HereShell({ "hive.log": "1\n2\n", "hive.log.1": "0\n" });
  const cut = new AbortController();
  const wish = { node: "box", lines: 3, follow: true };
  const log = await openRemoteLog(shell, wish, cut.signal);
  let text = "";
  for await (const piece of log) {
    text += new TextDecoder().decode(piece);
    if (text === "0\n1\n2\n") Deno.writeTextFileSync(`${shell.home}/logs/hive.log`, "3\n", { append: true });
    if (text.endsWith("3\n")) break;
  }
  strictEqual(text, "0\n1\n2\n3\n");
  await shell.started[0].ended;
  for (let n = 0; n < 500 && tails(shell.home).length > 0; n++) await new Promise((r) => setTimeout(r, 10));
  deepStrictEqual(tails(shell.home), []);
});

/** The processes that still look at a file below a folder. */
function tails(folder: string): string[] {
  return [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).flatMap(({ name }) => {
    try {
      const line = Deno.readTextFileSync(`/proc/${name}/cmdline`);
      return line.startsWith("tail\0") && line.includes(folder) ? [line] : [];
    } catch {
      return []; // it has just ended
    }
  });
}

Deno.test("the name of a log is one word of the command line", () => {
  const { command, input } = logCommand({ node: "box", lines: 5, follow: true });
  ok(command.endsWith("'hive' '5' 'yes'"), command);
  ok(input.includes("rbee-log: ok"));
});
