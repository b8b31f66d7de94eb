import { suite } from "./steps/mod.ts";

suite.feature(new URL("./worker_registry.feature", import.meta.url));
