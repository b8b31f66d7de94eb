/**
 * One golden sample of each body and each answer that rbee's programs send each other. A change of a wire shape shows
 * here first: a sample is changed by hand, on purpose, or not at all.
 *
 * @module
 */

const worker = {
  id: "worker-0a1b2c3d",
  url: "http://127.0.0.1:8081",
  port: 8081,
  model_ref: "builtin:tiny",
  backend: "cpu",
  device: 0,
  state: "loading",
  slots_total: 1,
  slots_available: 0,
  last_activity_unix: 1_790_000_000,
  failed_health_checks: 0,
  pid: 4711,
  layers_loaded: 12,
  layers_total: 32,
  vram_mb: 2048,
};

const machine = {
  hostname: "workstation",
  platform: "linux-x64",
  cpu_cores: 2,
  memory_total_bytes: 8_000_000_000,
  memory_available_bytes: 6_000_000_000,
  gpus: [
    {
      backend: "cuda",
      index: 0,
      name: "RTX 3090",
      memory_total_bytes: 24_000_000_000,
      memory_free_bytes: 23_000_000_000,
    },
  ],
};

const end = {
  done: true,
  total_tokens: 20,
  prompt_tokens: 12,
  prompt_tokens_cached: 0,
  duration_ms: 1234,
  prefill_ms: 34,
  decode_ms: 1200,
  tokens_per_second: 16.7,
  stop_reason: "MAX_TOKENS",
  seed: 7,
};

/** A sample for each route that takes a body or gives a JSON answer; `bad` bodies must be refused. */
export interface Sample {
  body?: unknown;
  bad?: unknown[];
  answer?: unknown;
}

const accepted = { answer: { status: "shutting_down" } };
const generation = {
  body: { prompt: "write a short story", max_tokens: 20, temperature: 0.7, stream: true },
  bad: [
    {},
    { prompt: "" },
    { prompt: "x", max_tokens: 0 },
    { prompt: "x", temperature: 3 },
    { prompt: "x", unknown: 1 },
    "text",
    [],
    null,
  ],
};

const beehive = {
  node_name: "workstation",
  ssh_host: "workstation.home.arpa",
  ssh_port: 22,
  ssh_user: "me",
  ssh_key_path: "/home/me/.ssh/id_ed25519",
  git_repo_url: null,
  git_branch: "main",
  install_path: "/home/me/rbee",
  hive_port: 9200,
  worker_port_start: 8081,
  worker_port_end: 8999,
};
const fast = {
  node_name: "fast",
  transport: "direct",
  address: "192.168.1.20",
  token_file: "/home/me/.rbee/fast.token",
  ca_cert_file: "/home/me/.rbee/fast.crt",
  plaintext: false,
  hive_port: 9200,
};
const modelRecord = {
  id: "tinyllama-q4",
  provider: "hf",
  reference: "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF",
  local_path: "/models/tinyllama-q4.gguf",
  size_bytes: 5_242_880,
  downloaded_at_unix: 1_728_508_603,
  variant: "Q4_K_M",
  digest: "sha256:0123",
  quantization: "Q4_K_M",
  architecture: "llama",
  context_length: 2048,
  last_used_unix: null,
  use_count: 0,
  damaged: false,
  files: [{ path: "tinyllama-q4.gguf", size_bytes: 5_242_880, digest: "sha256:0123" }],
};
const modelFacts = {
  ref: "hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF:Q4_K_M",
  size_bytes: 5_242_880,
  digest: "sha256:0123",
  quantization: "Q4_K_M",
  shape: {
    architecture: "llama",
    layers: 22,
    context_length: 2048,
    vocab_size: 32_000,
    embedding_length: 2048,
    feed_forward_length: 5632,
    head_count: 32,
    kv_elements_per_token: 11_264,
    layer_bytes: 4_000_000,
    other_bytes: 1_242_880,
  },
};
const planRow = {
  node: "local",
  would: "spawn",
  reasons: ["no worker on local serves the demand"],
  code: null,
  backend: "cpu",
  device: 0,
  gpu_layers: null,
  layers: 22,
  worker: null,
  evicts: [],
  required_mb: 6000,
  available_mb: 8000,
  model_on_disk: false,
  download_bytes: 5_242_880,
  prefill_tokens_per_second: null,
  decode_tokens_per_second: null,
  expected_first_token_s: null,
  score: 1,
};
const nodeStates = [
  { node: "local", status: "connected", error: null },
  { node: "workstation", status: "unreachable", error: "Cannot connect to workstation:22 after 3 attempts" },
];
const named = { node_name: "workstation" };
const nodeDone = { answer: { success: true, message: "Node 'workstation' saved", node_name: "workstation" } };

/** By program and route name. */
export const samples: Record<string, Record<string, Sample>> = {
  queen: {
    health: { answer: { status: "ok", version: "0.1.0" } },
    healthV1: { answer: { status: "ok", version: "0.1.0" } },
    info: {
      answer: {
        version: "0.1.0",
        commit: "1a2b3c4",
        platform: "linux-x64",
        pid: 1,
        mode: "ephemeral",
        attached: 1,
        uptime_s: 0.1,
        home_id: "0123456789abcdef",
        moved_aside: "/home/me/.rbee/beehives.db.damaged-2026-01-01T00-00-00-000Z",
        hives: ["local"],
      },
    },
    submitTask: {
      ...generation,
      bad: [...generation.bad, { prompt: "x", node: "-leading-dash" }, { prompt: "x", wait_s: -1 }, {
        prompt: "x",
        backend: "tpu",
      }, { prompt: "x", client: "two words" }],
      answer: { ...end, task_id: "task-1", text: "Once upon a time" },
    },
    nodes: {
      answer: {
        nodes: [{
          node_name: "local",
          transport: "local",
          status: "reachable",
          hive_port: 9200,
          last_connected_unix: 1_790_000_000,
          last_error: null,
          machine,
          hive_url: "http://127.0.0.1:9200",
          hive_version: "0.1.0",
          hive_pid: 4711,
          leased: true,
          hive_status: "connected",
          ssh_host: null,
          ssh_user: null,
          workers: 1,
        }],
      },
    },
    startHive: { body: { node: "workstation" }, bad: [{}, { node: "../x" }, { node: "local", force: true }] },
    stopHive: { body: { node: "workstation" }, bad: [{}, { node: "-x" }] },
    restartHive: { body: { node: "workstation" }, bad: [{}, { node: "" }] },
    addBeehive: {
      body: beehive,
      bad: [
        {},
        { ...beehive, node_name: "../x" },
        { ...beehive, ssh_port: 0 },
        { ...beehive, ssh_host: "" },
        {
          ...beehive,
          password: "x",
        },
        { ...fast, address: "" },
        { ...fast, token: "x" },
        { ...fast, transport: "carrier pigeon" },
        {
          ...beehive,
          address: "192.168.1.20",
        },
      ],
      ...nodeDone,
    },
    listBeehives: {
      answer: {
        nodes: [{
          ...beehive,
          transport: "ssh",
          status: "reachable",
          platform: null,
          last_connected_unix: 1_728_508_603,
          last_error: null,
        }, { ...fast, status: "unreachable", last_connected_unix: null, last_error: "Cannot reach node 'fast'" }],
      },
    },
    updateBeehive: {
      body: { ...named, ssh_port: 2222, ssh_key_path: null },
      bad: [{}, { ssh_port: 2222 }, { ...named, ssh_port: "2222" }, { ...named, status: "reachable" }],
      ...nodeDone,
    },
    removeBeehive: { body: named, bad: [{}, { node_name: "" }], ...nodeDone },
    installBeehive: {
      body: { node_name: "workstation", backend: "cuda", mode: "ship", service: true },
      bad: [{}, { ...named, backend: "rocm" }, { ...named, mode: "copy" }, { ...named, service: "yes" }, {
        ...named,
        path: "/",
      }],
    },
    uninstallBeehive: {
      body: { node_name: "workstation", purge: true },
      bad: [{}, { ...named, purge: 1 }, { ...named, all: true }],
    },
    testBeehive: { body: named, bad: [{}, { node_name: "-x" }], ...nodeDone },
    listWorkers: {
      answer: { workers: [{ ...worker, worker_id: worker.id, node: "local" }], nodes: nodeStates },
    },
    workersHealth: {
      answer: {
        status: "ok",
        workers: [{ worker_id: worker.id, node: "local", state: "idle", ready: true, failed_health_checks: 0 }],
        nodes: nodeStates,
      },
    },
    startWorker: {
      body: { model: "builtin:tiny", keep_s: 1800 },
      bad: [{}, { model: "" }, { model: "x", keep_s: -1 }],
    },
    shutdownWorker: {
      body: { worker_id: worker.id },
      bad: [{}, { worker_id: "" }, { worker_id: "x".repeat(65) }],
      answer: { success: true, message: "sent" },
    },
    plan: {
      body: { model: modelFacts.ref, backend: "cpu" },
      bad: [{ model: "" }, { device: -1 }, { prompt: "x" }],
      answer: { model: modelFacts, model_error: null, chosen: "local", rows: [planRow] },
    },
    models: { answer: { models: [{ ...modelRecord, node: "local", ref: modelFacts.ref }], nodes: nodeStates } },
    pullModel: { body: { model: modelFacts.ref, node: "workstation" }, bad: [{}, { model: "" }] },
    removeModel: {
      body: { model: modelFacts.ref },
      bad: [{}, { model: "m", node: "-x" }],
      answer: { node: "local", model_ref: modelFacts.ref, removed_bytes: 5_242_880, kept: [] },
    },
    verifyModel: { body: { model: modelFacts.ref }, bad: [{}] },
    importModels: { body: { path: "/models", node: "workstation" }, bad: [{}, { path: "" }] },
    shutdown: accepted,
  },
  hive: {
    health: { answer: { status: "alive", version: "0.1.0", api_version: "v1", home_id: "0123456789abcdef" } },
    spawnWorker: {
      body: { model_ref: "builtin:tiny", backend: "cpu", device: 0 },
      bad: [{}, { model_ref: "x", backend: "tpu" }, { model_ref: "x", device: -1 }, { model_ref: "x", slots: 0 }, {
        model_ref: "x",
        ctx: 1,
      }],
      answer: { worker_id: worker.id, url: worker.url, state: "loading" },
    },
    workerReady: {
      body: { worker_id: worker.id, url: worker.url, model_ref: "builtin:tiny", backend: "cpu", device: 1 },
      bad: [{}, { worker_id: "../x", url: worker.url, model_ref: "m", backend: "cpu", device: 1 }, {
        worker_id: worker.id,
        url: "no url",
        model_ref: "m",
        backend: "cpu",
        device: 1,
      }],
      answer: { message: "registered" },
    },
    listWorkers: { answer: { workers: [] } },
    shutdownWorker: accepted,
    models: { answer: { models: [modelRecord] } },
    lookUpModel: {
      body: { model_ref: modelFacts.ref },
      bad: [{}, { model_ref: "" }, { model_ref: "x", node: "y" }],
      answer: { ...modelFacts, local_path: null, download_bytes: 5_242_880 },
    },
    downloadModel: {
      body: { model_ref: modelFacts.ref },
      bad: [
        {},
        { model_ref: "" },
        { model_ref: "x", source: "disk" },
        { model_ref: "x", files: [{ path: "a.gguf", size_bytes: 1, sha256: "none" }] },
      ],
      answer: { download_id: "download-1", files: [{ size_bytes: 5_242_880, offset: 1_048_576 }] },
    },
    receiveModel: { answer: { offset: 5_242_880, complete: true } },
    downloads: {
      answer: {
        downloads: [{
          download_id: "download-1",
          model_ref: modelFacts.ref,
          state: "downloading",
          source: "hub",
          bytes_downloaded: 1_048_576,
          bytes_total: 5_242_880,
        }],
      },
    },
    removeModel: {
      body: { model_ref: modelFacts.ref },
      bad: [{}, { model_ref: 1 }],
      answer: { model_ref: modelFacts.ref, removed_bytes: 5_242_880, kept: [] },
    },
    verifyModel: { body: { model_ref: modelFacts.ref }, bad: [{}] },
    importModels: { body: { path: "/models" }, bad: [{}, { path: "" }] },
    backends: { answer: { backends: [{ name: "cpu", available: true, devices: 1 }] } },
    resources: {
      answer: { ...machine, ram_total_gb: 8, ram_available_gb: 6, disk_total_gb: 100, disk_available_gb: 50 },
    },
    lease: {
      body: { queen_id: "queen-1", host: "here", version: "0.1.0" },
      bad: [{}, { queen_id: "", host: "h", version: "1" }],
      answer: { lease_ms: 15_000, leased: true },
    },
    shutdown: accepted,
  },
  worker: {
    healthV1: {
      answer: { status: "healthy", version: "0.1.0", state: "loading", vram_bytes: 0, uptime_seconds: 1, model: null },
    },
    ready: { answer: { ready: false, state: "loading", progress_url: "http://127.0.0.1:8081/v1/loading/progress" } },
    inference: {
      ...generation,
      bad: [...generation.bad, { prompt: "x", request_id: "a/b" }, { prompt: "x", stop: ["1", "2", "3", "4", "5"] }],
      answer: { ...end, request_id: "r-1", text: "Once upon a time" },
    },
    shutdown: accepted,
  },
};

const installed = {
  node_name: "workstation",
  version: "0.1.0",
  platform: "linux-x64",
  backend: "cuda",
  files_sent: 3,
  bytes_sent: 901_925_153,
  files_kept: 0,
  install_path: "/home/me/rbee",
};
const uninstalled = { node_name: "workstation", install_path: "/home/me/rbee", notes: ["/home/me/.rbee stays"] };

/** One sample of each event on a stream: the schema's name and the value. */
export const events = { worker, machine, end, installed, uninstalled };
