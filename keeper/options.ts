/**
 * Values on the command line: text in, checked value out. What they throw commander turns into a usage error that names
 * the flag.
 *
 * @module
 */
import { InvalidArgumentError } from "commander";
import { ports } from "../protocol/limits.ts";
import { durationForms, parseDuration } from "./duration.ts";

/** What a number on the command line must be. */
export interface NumberRange {
  readonly min: number;
  readonly max: number;
  /** Fractions are allowed. */
  readonly fraction?: boolean;
}

/** Returns the parser of a number within bounds. */
export function number(range: NumberRange): (text: string) => number {
  return (text) => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
    if (!Number.isFinite(value)) throw new InvalidArgumentError("It must be a number.");
    if (!range.fraction && !Number.isInteger(value)) throw new InvalidArgumentError("It must be a whole number.");
    if (value < range.min || value > range.max) {
      throw new InvalidArgumentError(`It must be from ${range.min} to ${range.max}.`);
    }
    return value;
  };
}

/** Returns the parser of a duration, in seconds, within bounds given in milliseconds. `words` maps names to seconds. */
export function seconds(
  range: { minMs: number; maxMs: number; words?: Readonly<Record<string, number>> },
): (text: string) => number {
  return (text) => {
    if (range.words && Object.hasOwn(range.words, text)) return range.words[text];
    const ms = parseDuration(text);
    const words = range.words ? ` or ${Object.keys(range.words).join(", ")}` : "";
    if (ms === undefined) throw new InvalidArgumentError(`Write it as ${durationForms}${words}.`);
    if (ms < range.minMs || ms > range.maxMs) {
      throw new InvalidArgumentError(`It must be from ${range.minMs / 1_000} s to ${range.maxMs / 1_000} s.`);
    }
    return ms / 1_000;
  };
}

/** Returns the parser of a flag that may be given several times. */
export function several(limit: { count: number; charsMax: number }): (text: string, before?: string[]) => string[] {
  return (text, before = []) => {
    if (text === "") throw new InvalidArgumentError("It must not be empty.");
    if (text.length > limit.charsMax) throw new InvalidArgumentError(`It has more than ${limit.charsMax} characters.`);
    if (before.length >= limit.count) throw new InvalidArgumentError(`It can be given ${limit.count} times at most.`);
    return [...before, text];
  };
}

/** Returns the parser of a name: letters, digits, `.`, `_`, `-`; up to 64 characters, and nothing that climbs a path. */
export function name(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be a name of letters, digits, . _ - (64 at most).");
}

/** Returns the parser of a text that must not be empty. */
export function text(value: string): string {
  if (value.trim() === "") throw new InvalidArgumentError("It must not be empty.");
  return value;
}

/** Returns the text when it can be who logs in: letters, digits, `.`, `_`, `-`, and never a flag of ssh. */
export function login(text: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be a user name of letters, digits, . _ - (64 at most).");
}

/** Returns the text when it can be a host's name or address, and never a flag of ssh; the queen looks closer. */
export function host(text: string): string {
  if (/^[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,252}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be a host name, an address or a Host of ~/.ssh/config.");
}

/** Returns the first and the last port of a range such as `8081-8999`. */
export function portRange(text: string): readonly [first: number, last: number] {
  const match = text.match(/^(\d{1,5})-(\d{1,5})$/);
  if (!match) throw new InvalidArgumentError("Write it as 8081-8999.");
  const [first, last] = [Number(match[1]), Number(match[2])];
  if (first < 1 || last > ports.max) throw new InvalidArgumentError(`It must be from 1 to ${ports.max}.`);
  if (first > last) throw new InvalidArgumentError("Its first port is above its last.");
  return [first, last];
}
