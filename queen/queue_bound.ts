/**
 * Whether one more task may wait. Pure.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";

/** Returns the error of a task for which the queue, or that of its model, has no room; undefined when there is room. */
export function queueFull(waiting: readonly { readonly model: string }[], model: string): RbeeError | undefined {
  const all = waiting.length;
  if (all >= limits.queueTasksMax) {
    return new RbeeError("QUEUE_FULL", { details: { waiting: all, queue_max: limits.queueTasksMax } });
  }
  const ofModel = all < limits.queueTasksPerModelMax ? 0 : waiting.filter((task) => task.model === model).length;
  if (ofModel < limits.queueTasksPerModelMax) return undefined;
  const details = { waiting: ofModel, queue_max: limits.queueTasksPerModelMax, model };
  return new RbeeError("QUEUE_FULL", { message: "Cannot queue more tasks for this model: its queue is full", details });
}
