/**
 * The two tokens a queen needs: her own, and that of the hive on her machine.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { isLoopback, loadOrCreateToken, readToken } from "../runtime/auth.ts";
import type { Config } from "../runtime/config.ts";
import { environment } from "../runtime/environment.ts";
import type { Paths } from "../runtime/paths.ts";

/** Returns the queen's token. Throws `TOKEN_REQUIRED` on a network address without a configured one, `CONFIG_INVALID`. */
export function queenToken(paths: Paths, config: Readonly<Config>): { value: string; isConfigured: boolean } {
  const configured = environment("RBEE_QUEEN_TOKEN") ?? fromFile("queen", config.queen.token_file);
  if (configured !== undefined) return { value: configured, isConfigured: true };
  if (isLoopback(config.queen.listen)) return { value: loadOrCreateToken(paths.queenToken), isConfigured: false };
  throw new RbeeError("TOKEN_REQUIRED", {
    message: `Cannot listen on ${config.queen.listen} without a token`,
    hint: "Set RBEE_QUEEN_TOKEN, or [queen] token_file in config.toml, or listen on 127.0.0.1",
  });
}

/** Returns the local hive's token; one from our environment stands in no file that the hive could read. */
export function hiveToken(paths: Paths, config: Readonly<Config>): { value: string; isFromEnvironment: boolean } {
  const given = environment("RBEE_HIVE_TOKEN");
  if (given !== undefined) return { value: given, isFromEnvironment: true };
  const value = fromFile("hive", config.hive.token_file) ?? loadOrCreateToken(paths.hiveToken);
  return { value, isFromEnvironment: false };
}

function fromFile(table: "queen" | "hive", path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const token = readToken(path);
  if (token !== undefined) return token;
  throw new RbeeError("CONFIG_INVALID", {
    message: `Cannot use [${table}] token_file: ${path} is missing, empty or readable by others`,
    details: { key: `${table}.token_file` },
    hint: `Write the token to ${path} and run: chmod 600 ${path}`,
  });
}
