import { suite } from "./steps/mod.ts";

suite.feature(new URL("./provisioning.feature", import.meta.url));
