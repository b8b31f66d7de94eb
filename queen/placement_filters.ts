/**
 * Whether a machine could take a task that needs a new worker there, and on which device: a chain of filters, each with
 * its reason in words and numbers. Pure.
 *
 * @module
 */
import type { ErrorCode, RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { ModelFacts } from "../protocol/model.ts";
import { type Backend, backendsOf, type Gpu, type Machine } from "../protocol/node.ts";
import type { Demand, Job, Known, NodeView, Room, Rooms, Takes } from "./known.ts";
import {
  deviceName,
  evictionsFor,
  fitsInto,
  isFree,
  type Load,
  type Need,
  partNeed,
  wholeNeeds,
} from "./placement_memory.ts";
import { mbDown, mbUp } from "./placement_text.ts";

/** Why a machine does not come into question. */
export interface Refusal {
  readonly node: string;
  readonly code: ErrorCode;
  readonly reason: string;
  /** In MB. */
  readonly required?: number;
  readonly available?: number;
  readonly details?: Readonly<Record<string, unknown>>;
  /** What the machine itself said, when it was asked. */
  readonly error?: RbeeError;
  /** The model is not on its disk. */
  readonly needsFetch?: boolean;
  /** Workers that are busy and hold what is short: it fits once they are done. */
  readonly blockers?: readonly string[];
}

/** How a machine would take the task. */
export interface Fit {
  readonly node: NodeView;
  readonly backend: Backend;
  readonly device: number;
  readonly need?: Need;
  readonly takes?: Takes;
  readonly availableBytes?: number;
  /** Workers that are there already. */
  readonly neighbours: number;
  readonly evicts: readonly string[];
  readonly onDisk: boolean;
  /** 0 when it is there, or nobody knows. */
  readonly downloadBytes: number;
}

/** What is asked of every machine. One for each decision: what is the same for many machines is counted once. */
export class Question {
  readonly facts?: ModelFacts;
  /** Its file must be there before a worker can be started: it lies at a hub. */
  readonly isFetched: boolean;
  /** Machines differ little in what they give a worker: most share one. */
  readonly #loads: { readonly load: Load; readonly needs: Map<Backend, readonly Need[]> }[] = [];

  constructor(readonly demand: Demand, readonly job: Job, readonly known: Known) {
    this.isFetched = isFromHub(demand.model);
    this.facts = known.facts(demand.model);
  }

  /** Returns what a machine would load; undefined: nobody knows what it takes. */
  load({ defaults }: NodeView): Load | undefined {
    if (!this.facts) return undefined;
    const ctx = this.demand.ctx ?? defaults?.ctx;
    const slots = this.job.slots ?? defaults?.slots;
    for (const { load } of this.#loads) if (load.ctx === ctx && load.slots === slots) return load;
    const load = { facts: this.facts, ctx, slots };
    this.#loads.push({ load, needs: new Map() });
    return load;
  }

  /** Returns what that takes on such a device, for each context that would do. */
  needs(load: Load, backend: Backend): readonly Need[] {
    const all = this.#loads.find((one) => one.load === load)!.needs;
    const known = all.get(backend);
    if (known) return known;
    const needs = wholeNeeds(load, backend);
    all.set(backend, needs);
    return needs;
  }
}

/** Whether a model comes from somewhere else when it is not on disk. */
export const isFromHub = (model: string): boolean => /^(hf:|https?:)/.test(model);

/** Whether a model was imported on one machine, and is on no other. */
const isImported = (model: string) => model.startsWith("import:");

function notImported(node: string, model: string): Refusal {
  return { node, code: "MODEL_NOT_FOUND", reason: `${model} is not on its disk`, details: { model_ref: model } };
}

/** Returns how this machine would take the task, or why not. */
export function fitOn(node: NodeView, question: Question): Fit | Refusal {
  const avoided = question.job.avoid?.get(node.name);
  if (avoided) return { node: node.name, code: avoided.code, reason: avoided.message, error: avoided };
  const { machine } = node;
  const where = machine
    ? devicesFor(node, machine, question.demand)
    : [{ backend: question.demand.backend ?? "cpu" as const, device: 0 }];
  if (!Array.isArray(where)) return where;
  const isThere = node.models?.has(question.demand.model) ?? false;
  if (isImported(question.demand.model) && node.models && !isThere) {
    return notImported(node.name, question.demand.model);
  }
  const onDisk = !question.isFetched || isThere;
  const downloadBytes = onDisk ? 0 : question.facts?.size_bytes ?? 0;
  const noDisk = machine && node.hive === "up" && diskShort(node.name, machine, downloadBytes);
  if (noDisk) return noDisk;
  const load = question.load(node);
  const rooms = load && question.known.rooms(node.name);
  if (!rooms) {
    const neighbours = question.known.workersOn(node.name).length;
    const need = load && question.needs(load, where[0].backend)[0];
    return { node, ...where[0], evicts: nobody, onDisk, downloadBytes, need, neighbours };
  }
  return memoryOn({ node, onDisk, downloadBytes }, where, { question, load, rooms });
}

/** Whether a machine has what the demand names, whatever its memory. */
export function mayRunOn(node: NodeView | undefined, { demand, job }: Question): boolean {
  if (!node || (demand.node !== undefined && demand.node !== node.name) || job.avoid?.has(node.name)) return false;
  return node.machine === undefined || Array.isArray(devicesFor(node, node.machine, demand));
}

/** Whether it is one. */
export const isRefusal = (one: Fit | Refusal): one is Refusal => "code" in one;

interface Device {
  readonly backend: Backend;
  readonly device: number;
}

/**
 * The devices that the demand leaves open, in the order in which a hive tries them: GPUs first, the roomiest first. A GPU
 * without a worker program for it counts for who names its backend alone: the worker says then what is missing.
 */
function devicesFor(
  { name: node, installed }: NodeView,
  machine: Machine,
  { backend, device }: Demand,
): Device[] | Refusal {
  if (backend === undefined && machine.gpus.length === 0 && !device) return onlyCpu;
  const gpus = machine.gpus.filter((gpu) => backend === undefined ? isUsable(gpu, installed) : gpu.backend === backend);
  const fitting = gpus.filter((gpu) => device === undefined || gpu.index === device)
    .sort((a: Gpu, b: Gpu) => b.memory_free_bytes - a.memory_free_bytes)
    .map((gpu) => ({ backend: gpu.backend, device: gpu.index }));
  if ((backend ?? "cpu") === "cpu" && (device ?? 0) === 0) fitting.push({ backend: "cpu", device: 0 });
  if (fitting.length > 0) return fitting;
  const available = backendsOf(machine.gpus).map((one) => one.name);
  if (backend !== undefined && !available.includes(backend)) {
    const reason = `it has no ${backend}, only ${available.join(", ")}`;
    return { node, code: "BACKEND_UNAVAILABLE", reason, details: { backend, available } };
  }
  const indexes = (backend ?? "cpu") === "cpu" ? [0] : gpus.map((gpu) => gpu.index);
  const kind = backend ?? "cpu";
  const reason = `it has no ${kind} device ${device}, only ${indexes.join(", ") || "0"}`;
  return { node, code: "DEVICE_NOT_AVAILABLE", reason, details: { backend: kind, device, available: indexes } };
}

const isUsable = (gpu: Gpu, installed: NodeView["installed"]) => installed?.includes(gpu.backend) ?? true;

const onlyCpu: Device[] = [{ backend: "cpu", device: 0 }];

function diskShort(node: string, machine: Machine, bytes: number): Refusal | undefined {
  const free = machine.disk_free_bytes;
  if (bytes === 0 || free === undefined || free >= bytes + limits.downloadSpareBytes) return undefined;
  const [required, available] = [mbUp(bytes + limits.downloadSpareBytes), mbDown(free)];
  const reason = `its disk has ${available} MB free, the model needs ${required} MB`;
  return { node, code: "INSUFFICIENT_DISK", reason, required, available };
}

/** The first device with room as it is; else the first one on which idle workers can make room. */
function memoryOn(
  fit: Pick<Fit, "node" | "onDisk" | "downloadBytes">,
  devices: readonly Device[],
  { question, load, rooms }: { question: Question; load: Load; rooms: Rooms },
): Fit | Refusal {
  for (const where of devices) {
    const room = roomOf(where, rooms);
    for (const need of question.needs(load, where.backend)) {
      if (isFree(need, rooms, room)) return fitAt(fit, { where, room, need }, rooms);
    }
    const part = worthwhilePart(where, load, { rooms, room });
    if (part) return fitAt(fit, { where, room, need: part }, rooms);
  }
  const tries = devices.map((one) => tryDevice(one, load, rooms, question.needs(load, one.backend).at(-1)!));
  for (const one of tries) if (isFree(one.need, rooms, one.room)) return fitAt(fit, one, rooms);
  for (const one of tries) {
    if (!fitsInto(one.need, rooms, one.room, withIdle)) continue;
    const evicts = evictionsFor(takesOf(one.where, one.need), fit.node.name, question.known, question.job.claim);
    if (evicts) return fitAt(fit, one, rooms, evicts);
  }
  return { ...memoryShort(fit.node.name, tries, { question, rooms }), needsFetch: !fit.onDisk };
}

/** As a hive sees it: a GPU that takes less than this share of the layers gains little over a CPU. */
const worthwhileShare = 0.25;

function worthwhilePart(
  { backend }: Device,
  load: Load,
  { rooms, room }: { rooms: Rooms; room: Room | undefined },
): Need | undefined {
  if (backend === "cpu" || !room) return undefined;
  const part = partNeed(load, backend, room.free);
  const layers = load.facts.shape?.layers ?? 0;
  return part && isFree(part, rooms, room) && part.gpuLayers! >= layers * worthwhileShare ? part : undefined;
}

const nobody: readonly string[] = Object.freeze([]);

function fitAt(
  { node, onDisk, downloadBytes }: Pick<Fit, "node" | "onDisk" | "downloadBytes">,
  { where, room, need }: Try,
  rooms: Rooms,
  evicts: readonly string[] = nobody,
): Fit {
  const { backend, device } = where;
  const availableBytes = backend === "cpu" ? rooms.host.free : room?.free ?? 0;
  const { workers: neighbours } = rooms;
  return {
    node,
    onDisk,
    downloadBytes,
    backend,
    device,
    need,
    takes: takesOf(where, need),
    availableBytes,
    neighbours,
    evicts,
  };
}

const roomOf = ({ backend, device }: Device, rooms: Rooms): Room | undefined =>
  backend === "cpu" ? undefined : rooms.devices.get(deviceName(backend, device));

interface Try {
  readonly where: Device;
  readonly room?: Room;
  readonly need: Need;
}

/** Where nothing fits as it is: the smallest context, so that as few workers end as possible, or a part of the layers. */
function tryDevice(where: Device, load: Load, rooms: Rooms, whole: Need): Try {
  const room = roomOf(where, rooms);
  if (where.backend === "cpu" || fitsInto(whole, rooms, room, withIdle)) return { where, room, need: whole };
  // Too small for all of it: as many layers as fit.
  const part = partNeed(load, where.backend, room?.free ?? 0);
  return { where, room, need: part ?? whole };
}

const withIdle = ["free", "leaving", "idle"] as const;

const takesOf = ({ backend, device }: Device, need: Need): Takes => ({
  backend,
  deviceIndex: device,
  host: need.host,
  device: need.device,
});

function memoryShort(
  node: string,
  tries: readonly Try[],
  { question, rooms }: { question: Question; rooms: Rooms },
): Refusal {
  const all = ["free", "leaving", "idle", "busy"] as const;
  const later = tries.find(({ room, need }) => fitsInto(need, rooms, room, all));
  const { where, room, need } = later ?? tries.at(-1)!;
  const isOne = room === rooms.host;
  const isHost = isOne || need.device === 0 || need.host > rooms.host.free + rooms.host.idle;
  const place = isHost ? rooms.host : room;
  const required = mbUp(isOne ? need.host + need.device : isHost ? need.host : need.device);
  const available = mbDown((place?.free ?? 0) + (place?.leaving ?? 0) + (place?.idle ?? 0));
  const blockers = later
    ? question.known.workersOn(node).filter((w) => w.memory !== undefined && !w.leaving).map((w) => w.id)
    : undefined;
  const what = isHost ? "memory" : `memory of ${where.backend} ${where.device}`;
  const reason = `${what}: need ${required} MB, have ${available} MB` +
    (later ? " until its busy workers are done" : "");
  const details = { backend: where.backend, device: where.device };
  return { node, code: "VRAM_EXHAUSTED", reason, required, available, details, blockers };
}
