/**
 * The error that every rbee program throws, and its journey over HTTP: one class, one place that writes the body,
 * one that reads it back. What each code means stands in `error_codes.ts`.
 *
 * @module
 */
import { type ErrorCode, errorCodes, isErrorCode } from "./error_codes.ts";

export type { ErrorCode } from "./error_codes.ts";

/** Facts of an error, JSON values only; never a prompt, a key or a token. */
export type ErrorDetails = Record<string, unknown>;

/** What an `RbeeError` is made of. */
export interface RbeeErrorOptions {
  /** What happened, for a person: "Cannot verb thing: state". The code's own summary when absent. */
  message?: string;
  details?: ErrorDetails;
  /** The lower error; an `RbeeError` travels along in the body. */
  cause?: unknown;
  correlationId?: string;
  /** What to run next, when the code's own hint does not fit. */
  hint?: string;
}

/** The one error of rbee: a code of the table, a sentence, facts, and what to do next. */
export class RbeeError extends Error {
  override readonly name = "RbeeError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  correlationId?: string;
  readonly #hint?: string;

  constructor(code: ErrorCode, options: RbeeErrorOptions = {}) {
    super(options.message ?? errorCodes[code].summary, { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.correlationId = options.correlationId;
    this.#hint = options.hint;
  }

  /** The HTTP status that carries this error. */
  get status(): number {
    return errorCodes[this.code].status;
  }

  /** Whether the same request can succeed later without a change. */
  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }

  /** What a person can do or run next. */
  get hint(): string {
    return this.#hint ?? errorCodes[this.code].hint;
  }
}

/** What stands inside `error` of an error body. */
export interface ErrorFields {
  code: string;
  message: string;
  details: ErrorDetails;
  correlation_id?: string;
  retryable: boolean;
  hint: string;
  cause?: ErrorFields;
  /** S35 wants the two numbers of `ALL_SLOTS_BUSY` beside the code as well. */
  slots_total?: number;
  slots_busy?: number;
}

/** The body of every failed answer, and the data of every error event. */
export interface ErrorBody {
  error: ErrorFields;
}

/** How many lower errors travel along: enough for keeper ← queen ← hive ← worker. */
const causesMax = 4;

/** Returns anything thrown as an `RbeeError`; what is not one of ours becomes `INTERNAL_ERROR` and stays its cause. */
export function toRbeeError(thrown: unknown): RbeeError {
  if (thrown instanceof RbeeError) return thrown;
  const what = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return new RbeeError("INTERNAL_ERROR", { message: `Cannot go on: ${what}`, cause: thrown });
}

/** Returns the body for an error. An unknown error's text is not sent: it may hold what a user typed. */
export function toErrorBody(thrown: unknown, correlationId?: string): ErrorBody {
  const error = thrown instanceof RbeeError ? thrown : new RbeeError("INTERNAL_ERROR");
  return { error: fieldsOf(error, correlationId ?? error.correlationId, causesMax) };
}

function fieldsOf(error: RbeeError, correlationId: string | undefined, causesLeft: number): ErrorFields {
  const fields: ErrorFields = {
    code: error.code,
    message: error.message,
    details: error.details,
    retryable: error.retryable,
    hint: error.hint,
  };
  if (correlationId) fields.correlation_id = correlationId;
  if (error.code === "ALL_SLOTS_BUSY") {
    if (typeof error.details.slots_total === "number") fields.slots_total = error.details.slots_total;
    if (typeof error.details.slots_busy === "number") fields.slots_busy = error.details.slots_busy;
  }
  if (error.cause instanceof RbeeError && causesLeft > 0) {
    fields.cause = fieldsOf(error.cause, undefined, causesLeft - 1);
  }
  return fields;
}

/** Whether a parsed JSON value has the shape of an error body. */
export function isErrorBody(value: unknown): value is ErrorBody {
  const inner = (value as { error?: Partial<ErrorFields> } | null)?.error;
  return typeof inner === "object" && inner !== null && typeof inner.code === "string" &&
    typeof inner.message === "string";
}

/**
 * Returns the error that another program sent. A code that this version does not know (a newer peer, a proxy)
 * becomes `INVALID_RESPONSE` with the text it came with; the status alone decides when there is no body of ours.
 */
export function fromErrorBody(body: unknown, status = 500): RbeeError {
  if (!isErrorBody(body)) {
    return new RbeeError("INVALID_RESPONSE", {
      message: `Cannot read the answer: HTTP ${status} without an error body`,
      details: { status },
    });
  }
  return fromFields(body.error, causesMax);
}

function fromFields(fields: ErrorFields, causesLeft: number): RbeeError {
  const known = isErrorCode(fields.code);
  return new RbeeError(known ? fields.code as ErrorCode : "INVALID_RESPONSE", {
    message: fields.message,
    details: known ? fields.details ?? {} : { ...fields.details, code: fields.code },
    correlationId: fields.correlation_id,
    hint: typeof fields.hint === "string" ? fields.hint : undefined,
    cause: fields.cause && causesLeft > 0 ? fromFields(fields.cause, causesLeft - 1) : undefined,
  });
}
