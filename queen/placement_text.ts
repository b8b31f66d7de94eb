/**
 * Numbers as reasons write them. Pure.
 *
 * @module
 */

const mb = 1024 * 1024;

/** Returns a number of seconds as a person reads it. */
export const seconds = (value: number): string => value < 9.95 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;

/** Returns a speed as a person reads it. */
export const rate = (tokens: number): string => `${tokens < 9.95 ? tokens.toFixed(1) : Math.round(tokens)} tokens/s`;

/** Returns that a worker with so many slots has none to give. */
export const slotsBusy = (slots: number): string => slots === 1 ? "its slot is busy" : `all ${slots} slots are busy`;

/** Returns whole MB, rounded up. */
export const mbUp = (bytes: number): number => Math.ceil(bytes / mb);

/** Returns whole MB, rounded down; never less than none. */
export const mbDown = (bytes: number): number => Math.max(0, Math.floor(bytes / mb));
