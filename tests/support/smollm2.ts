/**
 * SmolLM2-135M-Instruct (Q4_1, 98 MB): a real model of others, for tests that a model of our own would prove too little.
 *
 * @module
 */
import { hasTestModel, TEST_MODEL_LINE, testModelPath } from "../../build/test_model.ts";

/** What fetches it, for a person. */
export const testModelLine: string = TEST_MODEL_LINE;

/** Where it lies on this machine. */
export const smollm2: string = testModelPath();

/** Whether it is there. */
export const hasSmollm2: boolean = hasTestModel();

/** Returns what the name of a test says where it can't run; empty where it can. */
export function smollm2Missing(): string {
  return hasSmollm2 ? "" : ` [not run: the model SmolLM2-135M is not here; type: ${TEST_MODEL_LINE}]`;
}
