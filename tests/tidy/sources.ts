/**
 * The project's files as the tidy rules read them.
 *
 * @module
 */
import { fromRoot } from "../../build/files.ts";
import { projectFiles } from "../../build/source_list.ts";

/** One text file of the project. */
export interface SourceFile {
  /** Relative to the checkout. */
  readonly path: string;
  readonly text: string;
  /** The text without comments: rules about calls must not trip over words. */
  readonly code: string;
}

const BINARY = /\.(gguf|png|jpg|gz|zst|bin)$/;

/** Returns every text file of the project. */
export async function textFiles(): Promise<SourceFile[]> {
  const paths = (await projectFiles()).filter((path) => !BINARY.test(path));
  return await Promise.all(paths.map(async (path) => sourceOf(path, await Deno.readTextFile(fromRoot(path)))));
}

/** Returns a source file made of a path and a text. */
export function sourceOf(path: string, text: string): SourceFile {
  return { path, text, code: withoutComments(text) };
}

/** Returns true for files that hold tests: what they may do is wider. */
export function isTest(path: string): boolean {
  return path.endsWith("_test.ts") || path.startsWith("tests/") || path.includes("/testdata/");
}

/** Returns the text with comments blanked, line numbers kept. Strings and `://` inside them survive. */
export function withoutComments(text: string): string {
  const token = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|\/\*[\s\S]*?\*\/|(?<![:\\/])\/\/[^\n]*/g;
  return text.replace(token, (hit) => /^\/[/*]/.test(hit) ? hit.replace(/[^\n]/g, " ") : hit);
}

/** Returns the number of the line (from 1) in which an offset lies. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}
