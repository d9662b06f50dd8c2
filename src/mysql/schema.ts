import { appendProcedure } from './append-procedure.ts'
import { collation } from './fragments.ts'
import type { Names } from './names.ts'

/** A released version never changes; later ones only add. */
export const schemaVersion = 1

const name = `VARCHAR(255) CHARACTER SET utf8mb4 COLLATE ${collation}`
const text = 'TEXT CHARACTER SET utf8mb4'
const json = 'LONGTEXT CHARACTER SET utf8mb4'

/** `sql_mode` is kept with procedures and triggers, so what they mean must not depend on who has made them. */
export const schemaMode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'

/** What an event of another program gets: the clock of the server. */
const recordedNow = "DATE_FORMAT(UTC_TIMESTAMP(3), '%Y-%m-%dT%H:%i:%s.%fZ')"

/** In the order in which they are made; each can be made again. */
export const tableStatements = (n: Names): readonly string[] => [
  `
CREATE TABLE IF NOT EXISTS ${n.version} (
  version INT NOT NULL,
  PRIMARY KEY (version)
) ENGINE = InnoDB`,
  `
CREATE TABLE IF NOT EXISTS ${n.events} (
  aggregate_type ${name} NOT NULL,
  aggregate_id ${name} NOT NULL,
  sequence BIGINT NOT NULL,
  event_type ${text} NOT NULL,
  event_version ${text} NOT NULL,
  payload ${json} NOT NULL,
  metadata ${json} NOT NULL,
  position BIGINT NULL,
  recorded_at VARCHAR(40) CHARACTER SET utf8mb4 NOT NULL DEFAULT (${recordedNow}),
  commit_id ${name} NOT NULL DEFAULT '',
  PRIMARY KEY (aggregate_type, aggregate_id, sequence),
  UNIQUE KEY by_position (position)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  `
CREATE TABLE IF NOT EXISTS ${n.snapshots} (
  aggregate_type ${name} NOT NULL,
  aggregate_id ${name} NOT NULL,
  last_sequence BIGINT NOT NULL,
  current_snapshot BIGINT NOT NULL,
  payload ${json} NOT NULL,
  state_version ${name} NOT NULL DEFAULT '',
  vouched_sequence BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (aggregate_type, aggregate_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  `
CREATE TABLE IF NOT EXISTS ${n.keys} (
  aggregate_type ${name} NOT NULL,
  aggregate_id ${name} NOT NULL,
  idempotency_key ${name} NOT NULL,
  command_hash ${text} NOT NULL,
  commit_id ${name} NOT NULL,
  first_sequence BIGINT NOT NULL,
  last_sequence BIGINT NOT NULL,
  PRIMARY KEY (aggregate_type, aggregate_id, idempotency_key)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  `
CREATE TABLE IF NOT EXISTS ${n.views} (
  view_name ${name} NOT NULL,
  generation BIGINT NOT NULL,
  view_id ${name} NOT NULL,
  version BIGINT NOT NULL,
  payload ${json} NOT NULL,
  sequence BIGINT NULL,
  PRIMARY KEY (view_name, generation, view_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  `
CREATE TABLE IF NOT EXISTS ${n.indexes} (
  index_key BINARY(32) NOT NULL,
  generation BIGINT NOT NULL,
  value VARCHAR(256) CHARACTER SET utf8mb4 COLLATE ${collation} NOT NULL,
  view_id ${name} NOT NULL,
  view_name ${name} NOT NULL,
  index_name ${name} NOT NULL,
  PRIMARY KEY (index_key, generation, value, view_id),
  KEY by_view (view_name, generation, view_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  `
CREATE TABLE IF NOT EXISTS ${n.generations} (
  view_name ${name} NOT NULL,
  generation BIGINT NOT NULL,
  view_version ${text} NOT NULL,
  state VARCHAR(10) CHARACTER SET utf8mb4 NOT NULL,
  PRIMARY KEY (view_name, generation)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  `
CREATE TABLE IF NOT EXISTS ${n.checkpoints} (
  name ${name} NOT NULL,
  position ${text} NOT NULL,
  fence BIGINT NOT NULL,
  commit_id ${name} NOT NULL,
  PRIMARY KEY (name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  `
CREATE TABLE IF NOT EXISTS ${n.leases} (
  name ${name} NOT NULL,
  holder ${name} NULL,
  fence BIGINT NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  PRIMARY KEY (name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  `
CREATE TABLE IF NOT EXISTS ${n.sequencer} (
  id TINYINT NOT NULL,
  position BIGINT NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB`,
  `
INSERT IGNORE INTO ${n.sequencer} (id, position) VALUES (1, 0)`,
]

/** The columns that a table made by the Rust crate lacks, or has with another collation. */
export const adoptedColumns = {
  events: [
    ['aggregate_type', `${name} NOT NULL`],
    ['aggregate_id', `${name} NOT NULL`],
    ['event_type', `${text} NOT NULL`],
    ['event_version', `${text} NOT NULL`],
    ['position', 'BIGINT NULL, ADD UNIQUE KEY by_position (position)'],
    ['recorded_at', "VARCHAR(40) CHARACTER SET utf8mb4 NOT NULL DEFAULT '1970-01-01T00:00:00.000Z'"],
    ['commit_id', `${name} NOT NULL DEFAULT ''`],
  ],
  snapshots: [
    ['aggregate_type', `${name} NOT NULL`],
    ['aggregate_id', `${name} NOT NULL`],
    ['state_version', `${name} NOT NULL DEFAULT ''`],
    ['vouched_sequence', 'BIGINT NOT NULL DEFAULT 0'],
  ],
} as const satisfies Record<'events' | 'snapshots', readonly (readonly [string, string])[]>

/** By itself, since a default that is not the same at all times is refused in `ADD COLUMN` where there is a binary log. */
export const setRecordedNow = (n: Names): string =>
  `ALTER TABLE ${n.events} MODIFY COLUMN recorded_at VARCHAR(40) CHARACTER SET utf8mb4 NOT NULL DEFAULT (${recordedNow})`

/** Gives a position to each event that another program inserts. Before the row and not after, so that writers take the sequencer before any row. */
export const positionTrigger = (n: Names): string => `
CREATE TRIGGER ${n.trigger} BEFORE INSERT ON ${n.events} FOR EACH ROW
BEGIN
  IF NEW.position IS NULL THEN
    UPDATE ${n.sequencer} SET position = position + 1 WHERE id = 1;
    SET NEW.position = (SELECT position FROM ${n.sequencer} WHERE id = 1);
  END IF;
END`

export const saveVersion = (n: Names): string => `
INSERT IGNORE INTO ${n.version} (version) VALUES (${schemaVersion})`

/** Columns of a table, and whether the text in them is ours: `utf8mb4`, and compared by bytes where it is part of a key. */
export const readColumns = (n: Names, table: 'events' | 'snapshots'): string => `
SELECT column_name AS name,
  CASE WHEN column_name IN ('event_type', 'event_version') THEN character_set_name = 'utf8mb4'
    ELSE collation_name IS NULL OR collation_name IN ('utf8mb4_0900_bin', 'utf8mb4_nopad_bin') END AS suits
FROM information_schema.columns
WHERE table_schema = ${n.databaseText} AND table_name = ${table === 'events' ? n.eventsText : n.snapshotsText}`

export const readTrigger = (n: Names): string => `
SELECT trigger_name FROM information_schema.triggers
WHERE trigger_schema = ${n.databaseText} AND trigger_name = ${n.triggerText}`

export const readUnplaced = (n: Names): string => `SELECT 1 AS one FROM ${n.events} WHERE position IS NULL LIMIT 1`

/**
 * Numbers the events that have no position. The rows lie in the order of their keys, not of their coming: they are put in the order of the column `timestamp` where an
 * older version of the crate has made one, then of their sequences. Within an aggregate the order is that of its sequences, whatever the timestamps say.
 */
export const placeEvents = (n: Names, hasTimestamp: boolean): string => `
UPDATE ${n.events} AS e
JOIN (
  SELECT aggregate_type, aggregate_id, sequence, ROW_NUMBER() OVER (ORDER BY came, sequence, aggregate_type, aggregate_id) AS nth
  FROM (
    SELECT aggregate_type, aggregate_id, sequence,
      ${hasTimestamp ? 'MAX(timestamp) OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY sequence)' : '0'} AS came
    FROM ${n.events}
    WHERE position IS NULL
  ) AS dated
) AS numbered USING (aggregate_type, aggregate_id, sequence)
SET e.position = ? + numbered.nth
WHERE e.position IS NULL`

/** For the command-line clients of MySQL and MariaDB, which know `DELIMITER`. */
export const printSchema = (n: Names, foreignWriters: boolean): string =>
  [
    `SET SESSION sql_mode = '${schemaMode}';\n`,
    ...tableStatements(n).map((statement) => `${statement};\n`),
    '\nDELIMITER //\n',
    `${appendProcedure(n)} //\n`,
    ...(foreignWriters ? [`${positionTrigger(n)} //\n`] : []),
    '\nDELIMITER ;\n',
    `${saveVersion(n)};\n`,
  ].join('')
