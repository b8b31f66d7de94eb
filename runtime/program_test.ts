import assert from "node:assert/strict";

const program = new URL("./program.ts", import.meta.url).href;

/** Runs a program in a process of its own; `main` and `options` are source text. Returns its exit code and output. */
async function run(main: string, options: string): Promise<{ code: number; text: string }> {
  const source = `import { runProgram } from ${JSON.stringify(program)};
    await runProgram(async (program) => { ${main} }, ${options});`;
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", "--no-check", source],
    cwd: new URL("..", import.meta.url),
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, text: decode(output.stdout) + decode(output.stderr) };
}

const throwsLater = `
  program.defer(() => console.log("disposed"));
  setTimeout(() => { throw new TypeError("in a timer"); }, 1);`;

Deno.test("an exception in a timer is told as a fault, and the program goes on to its own end", async () => {
  const main = `${throwsLater} await new Promise((resolve) => setTimeout(resolve, 50)); return 7;`;
  const { code, text } = await run(
    main,
    `{ onError: () => 1, onFault: (fault) => console.log("fault:", String(fault)) }`,
  );
  assert.equal(code, 7, text);
  assert.equal(text, "fault: TypeError: in a timer\ndisposed\n");
});

Deno.test("where no fault is listened for, an exception in a timer ends the program as its error, disposed", async () => {
  const main = `${throwsLater} await new Promise((resolve) => setTimeout(resolve, 20_000)); return 7;`;
  const { code, text } = await run(main, `{ onError: (error) => { console.log(error.code); return 70; } }`);
  assert.equal(code, 70, text);
  assert.equal(text, "INTERNAL_ERROR\ndisposed\n");
});
