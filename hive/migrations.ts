/**
 * The model catalog's schema, in order; append only.
 *
 * @module
 */

/** Ordered SQL for `openDatabase`. */
export const catalogMigrations: readonly string[] = Object.freeze([
  `create table models (
     id text primary key,
     provider text not null,
     reference text not null,
     local_path text not null,
     size_bytes integer not null,
     downloaded_at_unix integer not null,
     unique (provider, reference)
   ) strict`,
]);
