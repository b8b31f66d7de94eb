/** Every export says what it is: `deno doc --lint`, without the rules that zod's inferred types can't keep. */
import { fromRoot } from "./files.ts";
import { sourceFiles } from "./source_list.ts";

/** A line that needs words: an export, or a method with a body. Fields of a shape may speak for themselves. */
const NEEDS_WORDS =
  /^export |^\s+(static |async |get |set |override |\*)*(?!constructor\b)[a-zA-Z]\w*(<[^>]*>)?\(.*\{$/;

/** Returns one line for each export or method without a docstring (`file:line: text`), empty when there is none. */
export async function missingDocs(): Promise<string> {
  const members = /^(protocol|native|runtime|worker|hive|queen|keeper|build)\//;
  const paths = (await sourceFiles()).filter((path) => members.test(path) && !path.endsWith("_test.ts"));
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", ...paths],
    cwd: fromRoot(""),
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  // Anything else than findings (a file that can't be resolved) is a problem as it stands.
  if (/^error: (?!Found \d+ documentation lint)/m.test(said)) return said.trim();
  const problems: string[] = [];
  for (const [, path, line] of said.matchAll(/^error\[missing-jsdoc\][^\n]*\n\s*--> (.+?):(\d+):\d+$/gm)) {
    const text = (await Deno.readTextFile(path)).split("\n")[Number(line) - 1];
    if (NEEDS_WORDS.test(text)) {
      problems.push(`${path.replace(fromRoot(""), "")}:${line}: no docstring: ${text.trim()}`);
    }
  }
  return problems.join("\n");
}
