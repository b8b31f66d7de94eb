import { suite } from "./steps/mod.ts";

suite.feature(new URL("./worker_start.feature", import.meta.url));
