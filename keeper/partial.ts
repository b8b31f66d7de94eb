/**
 * The text of an answer that was cut off (S39): saved, so that what took minutes is not lost with the terminal.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { join } from "../runtime/path.ts";

/** What there is of an answer. */
export interface PartialAnswer {
  readonly taskId: string;
  readonly text: string;
  /** How many tokens it has, and how many it could have had. */
  readonly tokens: number;
  readonly maxTokens: number;
}

/** Saves the text and returns the error with where it lies, and how far it came. Never throws. */
export function withPartial(error: RbeeError, answer: PartialAnswer, folder: string): RbeeError {
  const path = save(answer, folder);
  return new RbeeError(error.code, {
    message: error.message,
    details: {
      ...error.details,
      ...(path === undefined ? {} : { partial_path: path }),
      tokens: answer.tokens,
      max_tokens: answer.maxTokens,
    },
    cause: error.cause,
    correlationId: error.correlationId,
    hint: error.hint,
  });
}

function save(answer: PartialAnswer, folder: string): string | undefined {
  const path = join(folder, `rbee-partial-${answer.taskId.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64)}.txt`);
  try {
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(path, answer.text, { mode: 0o600 });
    return path;
  } catch {
    return undefined; // the text stands on stdout as well; the error that cut it off matters more
  }
}
