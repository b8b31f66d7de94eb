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
  // A table of its own, because SQLite cannot change what a row is unique by. `files` and `shape` are JSON; `owned`
  // says that rbee may remove the files. A row of the former schema has no files: they are looked at anew.
  `create table models_new (
     id text primary key,
     provider text not null,
     reference text not null,
     local_path text not null,
     size_bytes integer not null,
     downloaded_at_unix integer not null,
     variant text not null default '',
     digest text,
     quantization text,
     architecture text,
     context_length integer,
     last_used_unix integer,
     use_count integer not null default 0,
     files text not null default '[]',
     shape text,
     owned integer not null default 0,
     damaged integer not null default 0,
     unique (provider, reference, variant)
   ) strict;
   insert into models_new (id, provider, reference, local_path, size_bytes, downloaded_at_unix, owned)
     select id, provider, reference, local_path, size_bytes, downloaded_at_unix, provider = 'builtin' from models;
   drop table models;
   alter table models_new rename to models;
   create index models_by_path on models (local_path)`,
]);
