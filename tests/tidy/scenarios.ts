/**
 * The acceptance scenarios that stand, and what each has to be: a Gherkin scenario with its number as tag, that starts an
 * executable and has a Then that asserts.
 *
 * @module
 */
import { AstBuilder, compile, GherkinClassicTokenMatcher, Parser } from "@cucumber/gherkin";
import { IdGenerator, type Pickle, PickleStepType } from "@cucumber/messages";
import type { SourceFile } from "./sources.ts";

/** Numbers of the scenarios that stand, as ranges. Each issue that adds scenarios widens this list. */
const STANDING: readonly (readonly [number, number])[] = [[1, 62]];

/** A step's body that waits for a state or compares one. */
const ASSERTS = /\b(assert\w*|eventually\w*|expect\w*)\b/;
/** A step's body that starts one of the four programs. */
const STARTS = /\b\w*(start|run|rbee|infer|keeper|launch)\w*\(/i;

/** Returns the tags that have to be there, `@S09` first. */
export function standingTags(): string[] {
  return STANDING.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, index) => `@S${String(first + index).padStart(2, "0")}`)
  );
}

interface StepBody {
  readonly pattern: RegExp;
  readonly body: string;
}

/** Returns one line for each standing scenario that is missing or proves nothing. */
export function wrongScenarios(features: readonly SourceFile[], steps: readonly SourceFile[]): string[] {
  const pickles = features.flatMap(picklesOf);
  const bodies = steps.flatMap(({ code }) => stepBodies(code));
  return standingTags().flatMap((tag) => {
    const tagged = pickles.filter((pickle) => pickle.tags.some(({ name }) => name === tag));
    if (tagged.length === 0) return [`${tag}: no scenario has this tag`];
    return tagged.flatMap((pickle) =>
      problemsOf(pickle, bodies).map((problem) => `${tag} "${pickle.name}": ${problem}`)
    );
  });
}

function picklesOf({ path, text }: SourceFile): Pickle[] {
  const newId = IdGenerator.uuid();
  const document = new Parser(new AstBuilder(newId), new GherkinClassicTokenMatcher()).parse(text);
  return [...compile({ ...document, uri: path }, path, newId)];
}

function problemsOf(pickle: Pickle, bodies: readonly StepBody[]): string[] {
  const bodyOf = (text: string): string[] => bodies.filter(({ pattern }) => pattern.test(text)).map(({ body }) => body);
  const problems: string[] = [];
  for (const { text } of pickle.steps) if (bodyOf(text).length === 0) problems.push(`no step says "${text}"`);
  if (!pickle.steps.some(({ text }) => bodyOf(text).some((body) => STARTS.test(body)))) {
    problems.push("no step starts an executable");
  }
  const outcomes = pickle.steps.filter(({ type }) => type === PickleStepType.OUTCOME);
  if (!outcomes.some(({ text }) => bodyOf(text).some((body) => ASSERTS.test(body)))) problems.push("no Then asserts");
  return problems;
}

/** Returns each step definition's pattern, widened to a regular expression, and the code up to the next one. */
export function stepBodies(code: string): StepBody[] {
  const definition =
    /\b(?:step|given|when|then)(?:<[^(]*>)?\(\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/(?:[^/\\\n]|\\.)+\/\w*)\s*,/gi;
  const hits = [...code.matchAll(definition)];
  return hits.map((hit, index) => ({
    pattern: widen(hit[1]),
    body: code.slice(hit.index + hit[0].length, hits[index + 1]?.index ?? code.length),
  }));
}

function widen(literal: string): RegExp {
  if (literal.startsWith("/")) {
    const end = literal.lastIndexOf("/");
    return new RegExp(literal.slice(1, end), literal.slice(end + 1));
  }
  const text = literal.slice(1, -1).replace(/\\(["'])/g, "$1");
  const source = text.replace(/\{\w*\}|\([^)]*\)|\S+\/\S+|[.*+?^$|[\]]/g, (part) => {
    if (part.startsWith("{")) return ".+?";
    if (part.startsWith("(")) return `(?:${part.slice(1, -1)})?`;
    if (part.length > 1) return `(?:${part.split("/").join("|")})`;
    return `\\${part}`;
  });
  return new RegExp(`^${source}$`);
}
