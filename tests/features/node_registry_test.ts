import { suite } from "./steps/mod.ts";

suite.feature(new URL("./node_registry.feature", import.meta.url));
