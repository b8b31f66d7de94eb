import { suite } from "./steps/mod.ts";

suite.feature(new URL("./worker_preflight.feature", import.meta.url));
