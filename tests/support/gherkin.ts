/**
 * Gherkin on `deno test`: one test for each scenario, one `t.step` for each step. The name of a test begins with the
 * number of its scenario (`S07 …`), taken from its tag.
 *
 * What this machine cannot run is registered as ignored and says so in its name (`[not run: …]`): the test runner
 * counts these and prints them, so that nothing that never ran looks as if it had passed.
 *
 * @module
 */
import { CucumberExpression, ParameterTypeRegistry, RegularExpression } from "@cucumber/cucumber-expressions";
import { AstBuilder, compile, GherkinClassicTokenMatcher, Parser } from "@cucumber/gherkin";
import { type GherkinDocument, IdGenerator, type Pickle, type PickleStep } from "@cucumber/messages";
import parseTags from "@cucumber/tag-expressions";
import { environment } from "../../runtime/environment.ts";
import { basename, fromFileUrl } from "../../runtime/path.ts";

/** A data table under a step. */
export class Table {
  readonly rows: readonly (readonly string[])[];

  constructor(rows: readonly (readonly string[])[]) {
    this.rows = rows;
  }

  /** Returns each row but the first as an object whose keys are the first row. */
  hashes(): Record<string, string>[] {
    const [keys, ...rows] = this.rows;
    return rows.map((row) => Object.fromEntries(keys.map((key, at) => [key, row[at]])));
  }
}

/** Something that a scenario needs and that not every machine has. */
export interface Need {
  /** With the at sign: `@gpu`. */
  readonly tag: string;
  readonly isMet: () => boolean;
  /** "needs an NVIDIA GPU". */
  readonly why: string;
  /** The line to type where the need is met. */
  readonly line: string;
}

/** What a suite does around each scenario. */
export interface SuiteOptions<W> {
  readonly create: () => Promise<W>;
  /** Always called, also after a failure. What it throws fails the test. */
  readonly dispose: (world: W) => Promise<void>;
  /** Returns what happened in a failed scenario, for the report. */
  readonly report?: (world: W) => string;
  readonly needs?: readonly Need[];
  /** No scenario runs longer. */
  readonly scenarioMsMax?: number;
  /** Nor does one with this tag. */
  readonly msMaxOf?: Readonly<Record<string, number>>;
}

interface Definition<W> {
  readonly expression: CucumberExpression | RegularExpression;
  readonly source: string;
  readonly run: (this: W, ...values: unknown[]) => unknown;
}

interface ResolvedStep<W> {
  readonly text: string;
  readonly where: string;
  /** An undefined or ambiguous step throws. */
  readonly run: (world: W) => Promise<void>;
  readonly isDefined: boolean;
}

const scenarioNumber = /^@S\d\d$/;

/** Step definitions, and the way from a `.feature` file to tests. `W` is what a scenario's steps share, their `this`. */
export class Suite<W extends object> {
  readonly types: ParameterTypeRegistry = new ParameterTypeRegistry();
  readonly #definitions: Definition<W>[] = [];
  readonly #options: SuiteOptions<W>;

  constructor(options: SuiteOptions<W>) {
    this.#options = options;
  }

  /** Defines a step. The same pattern twice is refused when a text matches both. */
  step<A extends unknown[]>(pattern: string | RegExp, run: (this: W, ...values: A) => unknown): void {
    const expression = typeof pattern === "string"
      ? new CucumberExpression(pattern, this.types)
      : new RegularExpression(pattern, this.types);
    this.#definitions.push({ expression, source: String(pattern), run: run as unknown as Definition<W>["run"] });
  }

  /** Registers one test for each scenario of a feature file. Throws when the file cannot be parsed. */
  feature(file: URL): void {
    const path = fromFileUrl(file);
    const newId = IdGenerator.uuid();
    const parser = new Parser(new AstBuilder(newId), new GherkinClassicTokenMatcher());
    const document: GherkinDocument = { ...parser.parse(Deno.readTextFileSync(path)), uri: path };
    const lines = linesOf(document);
    const wanted = environment("TAGS");
    const filter = wanted ? parseTags(wanted) : undefined;
    for (const pickle of compile(document, path, newId)) {
      if (filter && !filter.evaluate(pickle.tags.map((t) => t.name))) continue;
      this.#scenario(pickle, { file: basename(path), lines });
    }
  }

  #scenario(pickle: Pickle, at: { file: string; lines: ReadonlyMap<string, number> }): void {
    const tags = pickle.tags.map((t) => t.name);
    const number = tags.find((t) => scenarioNumber.test(t))?.slice(1);
    const place = `${at.file}:${at.lines.get(pickle.astNodeIds.at(-1) ?? "") ?? 0}`;
    if (!number) throw new Error(`Cannot take the scenario at ${place}: it has no tag like @S07`);
    const steps = pickle.steps.map((s) => this.#resolve(s, `${at.file}:${at.lines.get(s.astNodeIds[0]) ?? 0}`));
    const missing = (this.#options.needs ?? []).find((need) => tags.includes(need.tag) && !need.isMet());
    // A scenario that this machine cannot run must still have all its steps: otherwise nobody notices that it never could.
    const ignore = missing !== undefined && steps.every((s) => s.isDefined);
    const why = missing ? ` [not run: ${missing.why}; where there is one: ${missing.line}]` : "";
    Deno.test({
      name: `${number} ${pickle.name} (${place})${why}`,
      ignore,
      fn: (t) => this.#run(t, steps, this.#msMax(tags)),
    });
  }

  #resolve(step: PickleStep, where: string): ResolvedStep<W> {
    const hits = this.#definitions.flatMap((definition) => {
      const match = definition.expression.match(step.text);
      return match ? [{ definition, match }] : [];
    });
    if (hits.length !== 1) {
      const problem = hits.length === 0
        ? `undefined step at ${where}: ${step.text}`
        : `ambiguous step at ${where}: ${step.text}\n  ${hits.map((h) => h.definition.source).join("\n  ")}`;
      return { text: step.text, where, isDefined: false, run: () => Promise.reject(new Error(problem)) };
    }
    const [{ definition, match }] = hits;
    return {
      text: step.text,
      where,
      isDefined: true,
      run: async (world) => {
        const values = match.map((argument) => argument.getValue(world));
        await definition.run.apply(world, [...values, ...argumentOf(step)]);
      },
    };
  }

  #msMax(tags: readonly string[]): number {
    const { scenarioMsMax = 90_000, msMaxOf = {} } = this.#options;
    return Math.max(scenarioMsMax, ...tags.map((tag) => msMaxOf[tag] ?? 0));
  }

  async #run(t: Deno.TestContext, steps: readonly ResolvedStep<W>[], msMax: number): Promise<void> {
    const world = await this.#options.create();
    const end = performance.now() + msMax;
    let failed = false;
    try {
      for (const step of steps) {
        const run = async () => {
          try {
            await before(end, step.run(world));
          } catch (error) {
            failed = true;
            throw withPlace(error, step, this.#options.report?.(world));
          }
        };
        await t.step({ name: step.text, ignore: failed, fn: run, sanitizeOps: false, sanitizeResources: false });
      }
    } finally {
      await this.#options.dispose(world);
    }
  }
}

function argumentOf(step: PickleStep): unknown[] {
  if (step.argument?.dataTable) {
    return [new Table(step.argument.dataTable.rows.map((row) => row.cells.map((cell) => cell.value)))];
  }
  return step.argument?.docString ? [step.argument.docString.content] : [];
}

/** Rejects when a promise is not settled at `end` (by `performance.now()`). */
async function before(end: number, promise: Promise<void>): Promise<void> {
  let timer: number | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const ms = Math.max(0, end - performance.now());
    timer = setTimeout(() => reject(new Error("Cannot finish the scenario in its time")), ms);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Adds to an error's message: the runner prints that, and its own choice of the stack. */
function withPlace(error: unknown, step: { text: string; where: string }, report?: string): Error {
  const found = error instanceof Error ? error : new Error(String(error));
  found.message += `\n  at step "${step.text}" (${step.where})${report ? `\n${report}` : ""}`;
  return found;
}

/** Returns the line of every node of a parsed feature, by the node's id. */
function linesOf(document: GherkinDocument): Map<string, number> {
  const lines = new Map<string, number>();
  const walk = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    const { id, location } = node as { id?: unknown; location?: { line?: unknown } };
    if (typeof id === "string" && typeof location?.line === "number") lines.set(id, location.line);
    for (const inner of Object.values(node)) walk(inner);
  };
  walk(document);
  return lines;
}
