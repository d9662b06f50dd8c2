/** One script per version of the schema. A released one never changes; later ones only add. */
export const migrations: readonly string[] = [
  `
CREATE TABLE main.events (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  aggregate_type TEXT NOT NULL,
  aggregate_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  event_type TEXT NOT NULL,
  event_version TEXT NOT NULL,
  payload TEXT NOT NULL,
  metadata TEXT NOT NULL,
  recorded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  commit_id TEXT NOT NULL DEFAULT '',
  UNIQUE (aggregate_type, aggregate_id, sequence)
);

CREATE TABLE main.snapshots (
  aggregate_type TEXT NOT NULL,
  aggregate_id TEXT NOT NULL,
  last_sequence INTEGER NOT NULL,
  current_snapshot INTEGER NOT NULL,
  payload TEXT NOT NULL,
  state_version TEXT NOT NULL DEFAULT '',
  vouched_sequence INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (aggregate_type, aggregate_id)
);

CREATE TABLE main.idempotency_keys (
  aggregate_type TEXT NOT NULL,
  aggregate_id TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  command_hash TEXT NOT NULL,
  commit_id TEXT NOT NULL,
  first_sequence INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  PRIMARY KEY (aggregate_type, aggregate_id, idempotency_key)
);

CREATE TABLE main.views (
  view_name TEXT NOT NULL,
  generation INTEGER NOT NULL,
  view_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  payload TEXT NOT NULL,
  sequence INTEGER,
  PRIMARY KEY (view_name, generation, view_id)
);

CREATE TABLE main.view_indexes (
  view_name TEXT NOT NULL,
  generation INTEGER NOT NULL,
  index_name TEXT NOT NULL,
  value TEXT NOT NULL,
  view_id TEXT NOT NULL,
  PRIMARY KEY (view_name, generation, index_name, value, view_id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX main.view_indexes_by_view ON view_indexes (view_name, generation, view_id, index_name);

CREATE TABLE main.view_generations (
  view_name TEXT NOT NULL,
  generation INTEGER NOT NULL,
  view_version TEXT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (view_name, generation)
) WITHOUT ROWID;

CREATE TABLE main.checkpoints (
  name TEXT NOT NULL PRIMARY KEY,
  position TEXT NOT NULL,
  fence INTEGER NOT NULL,
  commit_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE main.leases (
  name TEXT NOT NULL PRIMARY KEY,
  holder TEXT,
  fence INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE main.cqrs_es_schema (
  version INTEGER NOT NULL PRIMARY KEY
);
INSERT INTO main.cqrs_es_schema (version) VALUES (1);
`.trim(),
]

/** Stored in the database file. It cannot be set in a transaction. */
export const journalMode = 'PRAGMA journal_mode = WAL;'

export const schemaVersion = migrations.length

export const printSchema = (): string => [journalMode, 'BEGIN IMMEDIATE;', ...migrations, 'COMMIT;', ''].join('\n\n')
