/**
 * Durations as people write them: `500ms`, `30s`, `5m`, `1h`, `2d`, also joined as `1m30s`.
 *
 * @module
 */

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The forms that are understood, for messages and help. */
export const durationForms = "500ms, 30s, 5m, 1h or 1m30s";

/** Returns the duration in milliseconds; undefined when the text is none. Only `0` may go without a unit. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed === "0") return 0;
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(trimmed)) return undefined;
  let ms = 0;
  for (const [, number, , unit] of trimmed.matchAll(/(\d+(\.\d+)?)(ms|s|m|h|d)/g)) ms += Number(number) * unitMs[unit];
  return ms;
}

/** Returns a duration for a sentence: `5 minutes`, `1 hour`, `2.5 seconds`, `200 ms`. */
export function durationText(ms: number): string {
  const round = (value: number) => Number(value.toFixed(1));
  const many = (value: number, noun: string) => `${round(value)} ${noun}${round(value) === 1 ? "" : "s"}`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return many(ms / 1_000, "second");
  if (ms < 3_600_000) return many(ms / 60_000, "minute");
  return ms < 86_400_000 ? many(ms / 3_600_000, "hour") : many(ms / 86_400_000, "day");
}
