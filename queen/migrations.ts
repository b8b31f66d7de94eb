/**
 * The schema of the node registry, `$RBEE_HOME/beehives.db`: ordered SQL, append only.
 *
 * @module
 */

/** The registry's migrations. The columns of the reference's 4.1, and what reaching a node in our ways needs. */
export const registryMigrations: readonly string[] = Object.freeze([
  `create table beehives (
    node_name text primary key,
    transport text not null default 'ssh' check (transport in ('local', 'ssh', 'direct')),
    platform text,
    hive_port integer,
    ssh_host text not null,
    ssh_port integer not null default 22,
    ssh_user text not null,
    ssh_key_path text,
    git_repo_url text,
    git_branch text default 'main',
    install_path text not null,
    last_connected_unix integer,
    last_error text,
    status text not null default 'unknown' check (status in ('unknown', 'reachable', 'unreachable')),
    backends text,
    devices text
  ) strict`,
  `alter table beehives add column worker_port_start integer;
   alter table beehives add column worker_port_end integer`,
  `alter table beehives add column address text;
   alter table beehives add column token_file text;
   alter table beehives add column ca_cert_file text;
   alter table beehives add column plaintext integer not null default 0 check (plaintext in (0, 1))`,
]);
