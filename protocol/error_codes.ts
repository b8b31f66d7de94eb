/**
 * The error table: every code, its HTTP status, whether the same request can succeed later, and what a person is told
 * to do next. Codes and statuses follow section 7 of the reference; nothing else in rbee invents a code.
 *
 * @module
 */

/** One row of the table. */
export interface ErrorRow {
  readonly status: number;
  readonly retryable: boolean;
  /** Said when whoever throws has nothing more precise. */
  readonly summary: string;
  /** What to do or run next. */
  readonly hint: string;
}

const row = (status: number, retryable: boolean, summary: string, hint: string): ErrorRow =>
  Object.freeze({ status, retryable, summary, hint });

const logs = "Look at `rbee logs`";
const oneModel =
  "Use hf:<org>/<repo>:<quant>, builtin:tiny, file:/absolute/path.gguf, a reference of `rbee models list` or an alias of `rbee models aliases`";

/** Every code that rbee sends or shows. */
export const errorCodes = Object.freeze({
  // requests
  INVALID_REQUEST: row(400, false, "Cannot read the request", "Correct what the message names, and try again"),
  INVALID_MODEL_REF: row(400, false, "Cannot read the model reference", oneModel),
  INVALID_BACKEND: row(400, false, "Cannot use this backend: it is unknown", "Use cpu, cuda, metal, vulkan or rocm"),
  DEVICE_NOT_AVAILABLE: row(400, false, "Cannot use this device: it does not exist", "See `rbee-hive detect`"),
  CONTEXT_EXCEEDED: row(
    400,
    false,
    "Cannot take the prompt: it is longer than the context",
    "Shorten the prompt, or raise --ctx up to what the model was trained for",
  ),
  CONFIG_INVALID: row(400, false, "Cannot use the configuration", "Correct the file; `rbee config show` tells which"),
  USAGE: row(400, false, "Cannot understand the command line", "See `rbee help`"),
  NOT_FOUND: row(404, false, "Cannot find this path", "See the list of endpoints in the README"),
  METHOD_NOT_ALLOWED: row(405, false, "Cannot use this method here", "Use the method that the Allow header names"),
  PAYLOAD_TOO_LARGE: row(413, false, "Cannot take the body: it is too large", "Send less than 32 MB"),
  TOO_MANY_REQUESTS: row(429, true, "Cannot take more requests now", "Try again in a moment"),
  REQUEST_TIMEOUT: row(408, false, "Cannot finish in time: the deadline passed", "Raise --timeout"),
  REQUEST_CANCELED: row(499, false, "Canceled", "Nothing to do: it was ended on request"),

  // who may
  MISSING_API_KEY: row(
    401,
    false,
    "Cannot let this through: no bearer token was sent",
    "Send `Authorization: Bearer` with the token of queen.token in RBEE_HOME",
  ),
  INVALID_API_KEY: row(
    401,
    false,
    "Cannot let this through: the key is invalid or missing",
    "Check the token in your configuration: `rbee config path` names the config.toml in use",
  ),
  ACCESS_DENIED: row(403, false, "Cannot open this: access denied", "For gated models set HF_TOKEN"),
  HOST_NOT_ALLOWED: row(
    403,
    false,
    "Cannot let this through: the Host header names another machine",
    "Use http://127.0.0.1 with the port, or the address that the program listens on",
  ),
  ORIGIN_NOT_ALLOWED: row(
    403,
    false,
    "Cannot let this through: it comes from a web page of another origin",
    "Call rbee from a program, not from a web page",
  ),

  // tasks and slots
  TASK_NOT_FOUND: row(404, false, "Cannot find this task", "It has ended and was forgotten, or never was"),
  ALL_SLOTS_BUSY: row(
    503,
    true,
    "Cannot start now: all slots are busy, try again later",
    "Wait for the current request, use another node, or give it longer with --wait 5m",
  ),
  QUEUE_FULL: row(503, true, "Cannot queue more tasks: the queue is full", "Try again later"),
  TEMPORARY_UNAVAILABLE: row(503, true, "Cannot serve this right now", "Try again in a moment"),
  PERSISTENT_QUEEN_NEEDED: row(
    409,
    false,
    "Cannot do this with a queen that ends with its command",
    "Start one that stays: `rbee up`",
  ),
  SHUTTING_DOWN: row(503, true, "Cannot start anything new: shutting down", "Run the command again"),
  INFERENCE_TIMEOUT: row(408, true, "Cannot finish the inference in time", "Try again, or raise --timeout"),
  TIMEOUT: row(408, true, "Cannot finish in time", "Try again"),
  GENERATION_TIMEOUT: row(504, true, "Cannot go on: no token came for too long", logs),
  INFERENCE_STALLED: row(504, true, "Cannot go on: no token came for too long", logs),
  INFERENCE_FAILED: row(500, false, "Cannot finish the inference", logs),
  QUOTA_EXCEEDED: row(429, false, "Cannot take this: the quota is used up", "Try again later"),

  // workers
  WORKER_NOT_FOUND: row(404, false, "Cannot find this worker", "See `rbee workers list`"),
  WORKER_NOT_READY: row(503, true, "Cannot use the worker yet: it is still loading", "Wait until it has loaded"),
  WORKER_CRASHED: row(
    502,
    false,
    "Cannot finish: the worker's stream closed unexpectedly",
    "The partial text was kept; run the command again, and look at `rbee logs`",
  ),
  WORKER_FAILED: row(500, false, "Cannot finish: the worker died", "Run the command again; look at `rbee logs`"),
  WORKER_START_FAILED: row(500, false, "Cannot start the worker", logs),
  WORKER_UNHEALTHY: row(503, true, "Cannot use the worker: it does not answer", "See `rbee workers health`"),
  WORKER_ALREADY_REGISTERED: row(409, false, "Cannot register this worker twice", "Nothing to do"),
  WORKER_BINARY_NOT_FOUND: row(
    500,
    false,
    "Cannot start the worker: its program is not beside the hive's",
    "Put the four programs into one folder: `deno task compile` makes them",
  ),
  WORKER_BUILD_FAILED: row(500, false, "Cannot build the worker", "See the lines above"),
  WORKER_OUT_OF_MEMORY: row(
    503,
    true,
    "Cannot go on: the worker ran out of memory",
    "Close programs or use a smaller model",
  ),
  LOADING_TIMEOUT: row(
    504,
    false,
    "Cannot use the model: loading took too long",
    "Check the worker's log: `rbee logs --worker ID`",
  ),
  INSUFFICIENT_RESOURCES: row(503, true, "Cannot start the worker: resources are short", "Stop another worker first"),
  PORT_TAKEN: row(
    503,
    true,
    "Cannot listen: the port is taken",
    "Choose another with --port, or end what uses it (`ss -ltnp` tells)",
  ),

  // models and memory
  MODEL_NOT_FOUND: row(404, false, "Cannot find the model", oneModel),
  MODEL_AMBIGUOUS: row(
    400,
    false,
    "Cannot tell which file of the repository is meant",
    "Name one of them: hf:<org>/<repo>:<quant or file>",
  ),
  MODEL_IN_USE: row(
    409,
    true,
    "Cannot remove the model: a worker has it",
    "Stop the worker first: `rbee workers list`",
  ),
  MODEL_LOAD_FAILED: row(
    500,
    false,
    "Cannot load the model",
    "Check that the file is a whole GGUF file; see `rbee logs`",
  ),
  MODEL_INCOMPATIBLE: row(400, false, "Cannot use this model here", "Use another model or quantization"),
  VRAM_EXHAUSTED: row(
    503,
    false,
    "Cannot load the model: memory is short",
    "Try a smaller quantized model, Q4 instead of Q8",
  ),
  INSUFFICIENT_RAM: row(
    503,
    false,
    "Cannot load the model: memory is short",
    "Close programs, or use Q4 or a smaller --ctx",
  ),
  INSUFFICIENT_VRAM: row(503, false, "Cannot load the model: GPU memory is short", "Use Q4, or --backend cpu"),
  VRAM_OOM: row(500, false, "Cannot go on: memory ran out", "Use a smaller --ctx or a smaller model"),
  VRAM_FRAGMENTED: row(503, true, "Cannot load the model: no piece of memory is large enough", "Restart the workers"),
  GPU_TOO_HOT: row(503, true, "Cannot start now: the GPU is too hot", "Wait until it has cooled"),
  BACKEND_UNAVAILABLE: row(
    400,
    false,
    "Cannot use this backend: the machine does not have it",
    "Use one of the available backends, or leave --backend out",
  ),
  CUDA_ERROR: row(500, true, "Cannot go on: the GPU failed", "Check the driver with `nvidia-smi`"),
  CATALOG_UNAVAILABLE: row(503, true, "Cannot open the model catalog", "Check the folder of models.db in RBEE_HOME"),
  DOWNLOAD_FAILED: row(502, true, "Cannot download the model", "Check the network and try again"),
  DOWNLOAD_TIMEOUT: row(504, true, "Cannot download the model: no bytes came", "Check the network and try again"),
  CHECKSUM_MISMATCH: row(502, true, "Cannot use the download: its digest differs", "Try again"),
  INSUFFICIENT_DISK: row(503, false, "Cannot store the model: disk space is short", "Free space: `rbee models rm`"),
  DISK_FULL: row(503, false, "Cannot write: the disk is full", "Free space and try again"),

  // machines
  NODE_NOT_FOUND: row(
    404,
    false,
    "Cannot find this node in the registry",
    "See `rbee status`; this machine is `local`",
  ),
  NODE_ALREADY_EXISTS: row(409, false, "Cannot add this node: the name is taken", "Use another name, or update-node"),
  NODE_UNREACHABLE: row(503, true, "Cannot reach the node", "Check that it is on and answers"),
  NO_NODE: row(503, false, "Cannot place the task: no node can take it", "See each node's reason, and `rbee status`"),
  CONNECTION_TIMEOUT: row(503, true, "Cannot connect", "Check that the program runs: `rbee status`"),
  CONNECTION_LOST: row(502, true, "Cannot go on: the connection was lost", "Run the command again"),
  INVALID_RESPONSE: row(502, false, "Cannot understand the answer", "Check which program uses that port"),
  TLS_NOT_TRUSTED: row(
    502,
    false,
    "Cannot trust who answers: its certificate is not the one that was registered",
    "Compare the fingerprints: `rbee-hive fingerprint` on that machine",
  ),
  VERSION_MISMATCH: row(409, false, "Cannot work together: version mismatch", "Upgrade the older program"),
  NODE_NOT_INSTALLED: row(
    409,
    false,
    "Cannot start the hive: rbee is not installed on that node",
    "Install it there: rbee setup install --node NAME",
  ),
  FILE_NOT_OURS: row(
    409,
    false,
    "Cannot replace a file that is not rbee's",
    "Move it away, or replace it with --force",
  ),
  ROOT_NEEDED: row(403, false, "Cannot change the system's folders: that needs root", "Run it with sudo"),
  EXECUTABLES_NOT_FOUND: row(
    404,
    false,
    "Cannot find the executables to install",
    "Make them in the checkout: deno task compile",
  ),
  INSTALL_FAILED: row(502, false, "Cannot install rbee on the node", "Look at the message, and run the command again"),
  INSTALL_PATH_NOT_WRITABLE: row(
    403,
    false,
    "Cannot install rbee on the node: its folder can't be written",
    "Choose another folder: rbee setup update-node --name NODE --install-path FOLDER",
  ),
  PLATFORM_NOT_AVAILABLE: row(
    409,
    false,
    "Cannot install rbee on the node: there are no executables for its platform",
    "Build it there: rbee setup install --node NODE --from-source",
  ),
  TOOLCHAIN_MISSING: row(
    409,
    false,
    "Cannot build rbee on the node: a tool is missing there",
    "Send the executables of this machine instead: rbee setup install --node NODE --ship",
  ),
  HIVE_RUNNING: row(409, false, "Cannot do this while a hive runs there", "Stop it first, and what started it"),
  HIVE_START_FAILED: row(502, false, "Cannot start the hive", "Look at `rbee logs --program hive`"),
  HIVE_LEASED: row(409, false, "Cannot use this hive: another queen holds it", "Stop the other queen first"),
  QUEEN_START_FAILED: row(502, false, "Cannot start the queen", "Look at `rbee logs --program queen`"),
  QUEEN_NOT_RUNNING: row(503, false, "Cannot find a running queen", "Start one: `rbee up`"),
  QUEEN_ALREADY_RUNNING: row(409, false, "Cannot start a second queen in the same RBEE_HOME", "See `rbee status`"),
  SSH_CONNECTION_FAILED: row(502, true, "Cannot connect by SSH", "Check the address and the network"),
  SSH_AUTH_FAILED: row(502, false, "Cannot log in by SSH", "Check the key: `ssh-add -l`"),
  SSH_KEY_NOT_FOUND: row(400, false, "Cannot find the SSH key", "Check --ssh-key"),
  SSH_HOST_KEY_UNKNOWN: row(502, false, "Cannot trust the SSH host: its key is unknown", "Log in once by hand"),
  SSH_HOST_KEY_CHANGED: row(502, false, "Cannot trust the SSH host: its key has CHANGED", "Find out why first"),
  SSH_SHELL_UNUSABLE: row(502, false, "Cannot use the shell of that login", "Give that user a POSIX shell"),
  SSH_FORWARDING_FORBIDDEN: row(
    502,
    false,
    "Cannot forward ports by SSH: the far side forbids it",
    "Allow it there: `AllowTcpForwarding local` in sshd_config, and no `restrict` or `permitopen` in authorized_keys",
  ),
  SSH_NOT_INSTALLED: row(500, false, "Cannot find the program ssh", "Install it: apt-get install openssh-client"),
  RBEE_HOME_TOO_LONG: row(400, false, "Cannot use this RBEE_HOME: its path is too long", "Choose a shorter one"),
  HOME_NOT_WRITABLE: row(500, false, "Cannot write to RBEE_HOME", "Make the folder yours, or set RBEE_HOME to another"),
  DATABASE_DAMAGED: row(500, false, "Cannot read the database", "Look at `rbee logs --program queen`"),
  DATABASE_NEWER: row(500, false, "Cannot open a database of a newer rbee", "Upgrade this rbee"),
  TOKEN_REQUIRED: row(
    400,
    false,
    "Cannot listen on the network without a token",
    "Set a token (RBEE_QUEEN_TOKEN or RBEE_HIVE_TOKEN, or token_file in config.toml), or listen on 127.0.0.1",
  ),

  INTERNAL_ERROR: row(500, false, "Cannot go on: an unexpected fault in rbee", "Please report it with `rbee logs`"),
});

/** A code of the table. */
export type ErrorCode = keyof typeof errorCodes;

/** Whether a text is a code of the table. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}
