import { suite } from "./steps/mod.ts";

suite.feature(new URL("./lifecycle_remote.feature", import.meta.url));
