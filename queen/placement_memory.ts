/**
 * How much memory of a machine is free, what can be made free, and what a model takes there. Pure.
 *
 * @module
 */
import { contextChoices, memoryNeed } from "../protocol/memory_need.ts";
import type { ModelFacts } from "../protocol/model.ts";
import type { Backend, Gpu, Machine } from "../protocol/node.ts";
import type { WorkerRecord } from "../protocol/worker.ts";
import type { Bytes, FetchView, Known, Room, Rooms, SpawnView, Takes, WorkerView } from "./known.ts";
import { isIdle } from "./placement_workers.ts";

/** What a machine's memory is counted from. */
export interface RoomParts {
  readonly machine: Machine;
  readonly workers: readonly WorkerView[];
  readonly spawns: readonly SpawnView[];
  readonly fetches: readonly FetchView[];
  /** What workers held that are gone, as far as the machine's figures do not show it yet. By device, `host` for the machine's own. */
  readonly freed?: ReadonlyMap<string, number>;
}

/** Returns the name of a device. */
export const deviceName = (backend: string, index: number): string => `${backend}:${index}`;

const host = "host";

type Count = { -readonly [K in keyof Room]: Room[K] };

/** Returns the memory of a machine: its figures, less what they do not show yet, and what could be had. */
export function roomsOf({ machine, workers, spawns, fetches, freed }: RoomParts): Rooms {
  const rooms = new Map<string, Count>();
  const add = (name: string, total: number, free: number) =>
    rooms.set(name, {
      total,
      // A total of 0 means that nothing tells how much there is: then loading has to find out.
      free: (total === 0 ? Infinity : free) + (freed?.get(name) ?? 0),
      leaving: 0,
      idle: 0,
      busy: 0,
    });
  add(host, machine.memory_total_bytes, machine.memory_available_bytes);
  for (const gpu of machine.gpus) {
    const name = deviceName(gpu.backend, gpu.index);
    // One without memory of its own takes from the machine's: that is one room, and counts once.
    if (isUnified(gpu, machine)) rooms.set(name, rooms.get(host)!);
    else add(name, gpu.memory_total_bytes, gpu.memory_free_bytes);
  }
  for (const worker of workers) countWorker(rooms, worker);
  for (const { takes } of [...spawns, ...fetches]) {
    if (!takes) continue;
    // It will be in use, and then idle some time.
    promise(rooms.get(host)!, takes.host);
    promise(rooms.get(deviceName(takes.backend, takes.deviceIndex)), takes.device);
  }
  return { host: rooms.get(host)!, devices: rooms, workers: workers.length };
}

/** Detection gives such a device the machine's own total. */
function isUnified(gpu: Gpu, { memory_total_bytes: total }: Machine): boolean {
  return gpu.backend === "metal" || (total > 0 && gpu.memory_total_bytes === total);
}

function promise(room: Count | undefined, bytes: number): void {
  if (!room) return;
  room.free -= bytes;
  room.busy += bytes;
}

function countWorker(rooms: ReadonlyMap<string, Count>, worker: WorkerView): void {
  const { memory } = worker;
  if (!memory) return;
  const kind = worker.leaving || worker.state === "draining" ? "leaving" : isIdle(worker) ? "idle" : "busy";
  const machine = rooms.get(host)!;
  machine.free -= memory.unseen.host;
  machine[kind] += memory.host;
  const device = rooms.get(deviceName(worker.backend ?? "cpu", worker.device ?? 0));
  if (!device) return;
  device.free -= memory.unseen.device;
  device[kind] += memory.device;
}

/** What a model takes on a device, and how many of its layers go there. */
export interface Need extends Bytes {
  /** Layers on the GPU; null where there is none or the header tells none. */
  readonly gpuLayers: number | null;
}

/** Returns what a worker takes that was started somehow. */
export function takenBy(facts: ModelFacts, { backend, slots_total, ctx }: WorkerRecord): Bytes {
  const { hostBytes, deviceBytes } = memoryNeed(facts, { backend, slots: Math.max(1, slots_total), ctx });
  return { host: hostBytes, device: deviceBytes };
}

/** What is to be loaded. */
export interface Load {
  readonly facts: ModelFacts;
  readonly ctx?: number;
  readonly slots?: number;
}

/**
 * Returns what a model takes with all its layers on that backend's device: for each context that would do, the largest
 * first.
 */
export function wholeNeeds({ facts, ctx, slots = 1 }: Load, backend: Backend): Need[] {
  const gpuLayers = backend === "cpu" ? null : facts.shape?.layers ?? null;
  return contextChoices(facts.shape, ctx).map((choice) => {
    const { hostBytes, deviceBytes } = memoryNeed(facts, { backend, slots, ctx: choice });
    return { host: hostBytes, device: deviceBytes, gpuLayers };
  });
}

/** Returns what it takes with only as many layers on the GPU as fit there; undefined when none do. */
export function partNeed({ facts, ctx, slots = 1 }: Load, backend: Backend, freeBytes: number): Need | undefined {
  const layers = facts.shape?.layers ?? 0;
  const choice = contextChoices(facts.shape, ctx).at(-1);
  const need = (gpuLayers: number) => memoryNeed(facts, { backend, slots, ctx: choice, gpuLayers });
  let [least, most] = [0, layers];
  while (least < most) {
    const middle = Math.ceil((least + most) / 2);
    if (need(middle).deviceBytes <= freeBytes) least = middle;
    else most = middle - 1;
  }
  if (least === 0) return undefined;
  const { hostBytes, deviceBytes } = need(least);
  return { host: hostBytes, device: deviceBytes, gpuLayers: least };
}

/** Whether both kinds of memory are free. */
export function isFree(need: Bytes, { host }: Rooms, device: Room | undefined): boolean {
  if (device === host) return need.host + need.device <= host.free;
  return need.host <= host.free && (need.device === 0 || (device !== undefined && need.device <= device.free));
}

/** Whether both kinds of memory are there; `kinds` says what may count as free. */
export function fitsInto(
  need: Bytes,
  { host }: Rooms,
  device: Room | undefined,
  kinds: readonly (keyof Room)[],
): boolean {
  if (device === host) return need.host + need.device <= sum(host, kinds);
  return need.host <= sum(host, kinds) && (need.device === 0 || need.device <= sum(device, kinds));
}

function sum(room: Room | undefined, kinds: readonly (keyof Room)[]): number {
  let bytes = 0;
  for (const kind of kinds) bytes += room?.[kind] ?? 0;
  return bytes;
}

/**
 * Returns the idle workers that must end so that something fits: the least recently used first, those that somebody
 * wants kept last, and only as many as needed. `claim`: see `Job`. Undefined when that does not suffice.
 */
export function evictionsFor(takes: Takes, node: string, known: Known, claim?: number): string[] | undefined {
  const rooms = known.rooms(node);
  if (!rooms) return [];
  const name = deviceName(takes.backend, takes.deviceIndex);
  const device = rooms.devices.get(name);
  const isOne = device === rooms.host;
  const lacks = {
    host: takes.host + (isOne ? takes.device : 0) - sum(rooms.host, ["free", "leaving"]),
    device: takes.device === 0 || isOne ? 0 : takes.device - sum(device, ["free", "leaving"]),
  };
  const leaving = known.workersOn(node).filter((w) => w.leaving).map((w) => w.id);
  // Those that are ending already are waited for only when what they hold is needed.
  const evicts = isFree(takes, rooms, device) ? [] : leaving;
  for (const worker of evictable(known.workersOn(node), known, claim)) {
    if (lacks.host <= 0 && lacks.device <= 0) break;
    const onDevice = deviceName(worker.backend ?? "cpu", worker.device ?? 0) === name ? worker.memory!.device : 0;
    const onHost = worker.memory!.host + (isOne ? onDevice : 0);
    if ((lacks.host > 0 && onHost > 0) || (lacks.device > 0 && onDevice > 0)) {
      evicts.push(worker.id);
      lacks.host -= onHost;
      lacks.device -= onDevice;
    }
  }
  return lacks.host <= 0 && lacks.device <= 0 ? evicts : undefined;
}

function evictable(workers: readonly WorkerView[], known: Known, claim?: number): WorkerView[] {
  const keep = (w: WorkerView) => w.keepS === undefined ? 0 : 1;
  return workers.filter((w) => isIdle(w) && w.memory !== undefined && !known.isWanted(w, claim))
    .sort((a, b) => keep(a) - keep(b) || (a.lastUsed ?? 0) - (b.lastUsed ?? 0) || (a.id < b.id ? -1 : 1));
}
