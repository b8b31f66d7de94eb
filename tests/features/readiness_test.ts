import { suite } from "./steps/mod.ts";

suite.feature(new URL("./readiness.feature", import.meta.url));
