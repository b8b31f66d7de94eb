/**
 * From a zod schema and an unknown value to the value or one error that names every bad field at once.
 *
 * @module
 */
import type * as z from "zod";
import { RbeeError } from "./error.ts";

/** One bad field, as `details.errors` carries it. Texts are never echoed: a prompt is nobody's business. */
export interface FieldError {
  field: string;
  constraint: string;
  message: string;
  /** Only numbers and booleans. */
  value?: number | boolean;
}

const fieldErrorsMax = 32;

/** Returns the parsed value. Throws `INVALID_REQUEST` whose `details.errors` names every bad field. */
export function parse<S extends z.ZodType>(schema: S, value: unknown, what = "the request"): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.flatMap((issue) => fieldErrors(issue, value)).slice(0, fieldErrorsMax);
  const named = [...new Set(errors.map((e) => e.field))].join(", ");
  throw new RbeeError("INVALID_REQUEST", {
    message: `Cannot accept ${what}: ${errors.length === 1 ? errors[0].message : `check ${named}`}`,
    details: { errors },
  });
}

function fieldErrors(issue: z.core.$ZodIssue, root: unknown): FieldError[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const field = [...path, key.slice(0, 64)].join(".");
      return { field, constraint: "unknown", message: `${field} is not a field of this request` };
    });
  }
  const field = path.join(".") || "body";
  const found: FieldError = { field, constraint: constraintOf(issue), message: sentence(field, issue) };
  const value = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], root);
  if (typeof value === "number" || typeof value === "boolean") found.value = value;
  return [found];
}

function constraintOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "too_small") return `>= ${issue.minimum}`;
  if (issue.code === "too_big") return `<= ${issue.maximum}`;
  return issue.code;
}

function sentence(field: string, issue: z.core.$ZodIssue): string {
  const text = issue.message.replace(/^Invalid input: /, "");
  return `${field}: ${text}`;
}
