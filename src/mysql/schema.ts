import { appendProcedure } from './append-procedure.ts'
import { collation, sharedText } from './fragments.ts'
import { leaseProcedure } from './lease-procedure.ts'
import type { Names } from './names.ts'
import { reading } from './session.ts'

/** Version of the schema. A released version never changes; later ones only add. */
export const schemaVersion = 1

const name = `VARCHAR(255) CHARACTER SET utf8mb4 COLLATE ${collation}`
const sharedName = `VARCHAR(255) ${sharedText}`
const text = 'TEXT CHARACTER SET utf8mb4'
const json = 'LONGTEXT CHARACTER SET utf8mb4'

/**
 * The server stores `sql_mode` with procedures and triggers, so it must not depend on the session.
 */
export const schemaMode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'

export const readMode = reading(['@@SESSION.sql_mode AS mode'], '')

/** Default for events of other programs: the clock of the server. */
const recordedNow = "CONCAT(LEFT(DATE_FORMAT(UTC_TIMESTAMP(3), '%Y-%m-%dT%H:%i:%s.%f'), 23), 'Z')"

/** A virtual copy of a column that is compared by bytes and stored only in the index. */
const bytesOf = (column: string): string => `${name} GENERATED ALWAYS AS (${column}) VIRTUAL`

/**
 * The columns and keys of events in addition to those of the Rust crate.
 *
 * An event is identified by `by_aggregate`: the primary key of the crate would take different ids
 * for equal, by the collation of its columns. The size of a page is limited by `bytes`, without
 * reading the texts.
 */
const ownOfEvents = [
  'row_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY',
  `type_key ${bytesOf('aggregate_type')}`,
  `id_key ${bytesOf('aggregate_id')}`,
  'position BIGINT NULL',
  "recorded_at VARCHAR(40) CHARACTER SET utf8mb4 NOT NULL DEFAULT '1970-01-01T00:00:00.000Z'",
  `commit_id ${name} NOT NULL DEFAULT ''`,
  'bytes INT GENERATED ALWAYS AS (OCTET_LENGTH(payload) + OCTET_LENGTH(metadata)) STORED',
  'UNIQUE KEY by_aggregate (type_key, id_key, sequence)',
  'UNIQUE KEY by_position (position)',
] as const

/** A snapshot only counts if `vouched_sequence` shows that this store wrote the row. */
const ownOfSnapshots = [
  'row_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY',
  `type_key ${bytesOf('aggregate_type')}`,
  `id_key ${bytesOf('aggregate_id')}`,
  `state_version ${name} NOT NULL DEFAULT ''`,
  'vouched_sequence BIGINT NOT NULL DEFAULT 0',
  'UNIQUE KEY by_aggregate (type_key, id_key)',
] as const

/**
 * The indexes that statements of the Rust crate need. Only tables shared with it have them: the
 * one of events makes up a quarter of the cost of an append.
 */
const indexesOfCrate = {
  events: 'KEY by_name (aggregate_type, aggregate_id, sequence)',
  snapshots: 'KEY by_name (aggregate_type, aggregate_id)',
} as const

export const indexesForCrate = (n: Names): readonly string[] =>
  (['events', 'snapshots'] as const).map((table) => `\nALTER TABLE ${n[table]} ADD ${indexesOfCrate[table]}`)

/** In order of creation; each can be repeated. */
export const tableStatements = (n: Names): readonly string[] => [
  `
CREATE TABLE IF NOT EXISTS ${n.version} (
  version INT NOT NULL,
  PRIMARY KEY (version)
) ENGINE = InnoDB`,
  `
CREATE TABLE IF NOT EXISTS ${n.events} (
  aggregate_type ${sharedName} NOT NULL,
  aggregate_id ${sharedName} NOT NULL,
  sequence BIGINT NOT NULL,
  event_type ${text} NOT NULL,
  event_version ${text} NOT NULL,
  payload ${json} NOT NULL,
  metadata ${json} NOT NULL,
  ${ownOfEvents.join(',\n  ')}
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  `
CREATE TABLE IF NOT EXISTS ${n.snapshots} (
  aggregate_type ${sharedName} NOT NULL,
  aggregate_id ${sharedName} NOT NULL,
  last_sequence BIGINT NOT NULL,
  current_snapshot BIGINT NOT NULL,
  payload ${json} NOT NULL,
  ${ownOfSnapshots.join(',\n  ')}
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
  position MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL,
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

/**
 * Adapts a table of the Rust crate, in one statement and so as a whole or not at all.
 *
 * Texts that are not `utf8mb4` are converted. The columns lose a binary collation, which their
 * copies have.
 */
export const adoptTable = (n: Names, table: 'events' | 'snapshots', unfit: readonly string[]): string =>
  [
    `ALTER TABLE ${n[table]}\n  DROP PRIMARY KEY`,
    ...unfit.map((column) => `MODIFY COLUMN ${column} ${column.startsWith('aggregate_') ? sharedName : text} NOT NULL`),
    ...[...(table === 'events' ? ownOfEvents : ownOfSnapshots), indexesOfCrate[table]].map((part) => `ADD ${part}`),
    'ENGINE = InnoDB ROW_FORMAT = DYNAMIC',
  ].join(',\n  ')

/** A separate statement, because with a binary log `ADD COLUMN` refuses a default that varies. */
export const setRecordedNow = (n: Names): string =>
  `ALTER TABLE ${n.events} MODIFY COLUMN recorded_at VARCHAR(40) CHARACTER SET utf8mb4 NOT NULL DEFAULT (${recordedNow})`

/**
 * The trigger that gives a position to each event inserted by another program.
 *
 * It runs before the row is inserted, so that writers lock the sequencer before any row.
 */
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

/** The columns of a table, and whether their texts suit the crate and this store. */
export const readColumns = (n: Names, table: 'events' | 'snapshots'): string =>
  reading(
    [
      'column_name AS name',
      "character_set_name IS NULL OR character_set_name = 'utf8mb4' AND collation_name NOT LIKE '%bin' AS suits",
    ],
    `FROM information_schema.columns
WHERE table_schema = ${n.databaseText} AND table_name = ${table === 'events' ? n.eventsText : n.snapshotsText}`,
  )

/**
 * Aggregates of a table to adopt whose sequences have gaps.
 *
 * The crate can create such: by the collation of its columns, it takes `Case` and `case` for one
 * aggregate and numbers their events in one series.
 */
export const readBroken = (n: Names): string =>
  reading(
    [
      'MIN(aggregate_type) AS aggregate_type',
      'MIN(aggregate_id) AS aggregate_id',
      'MIN(sequence) AS first',
      'MAX(sequence) AS last',
      'COUNT(*) AS events',
    ],
    `FROM ${n.events}
GROUP BY CAST(aggregate_type AS BINARY), CAST(aggregate_id AS BINARY)
HAVING MIN(sequence) <> 1 OR MAX(sequence) <> COUNT(*)
LIMIT 20`,
  )

export const readTrigger = (n: Names): string =>
  reading(
    ['trigger_name'],
    `FROM information_schema.triggers
WHERE trigger_schema = ${n.databaseText} AND trigger_name = ${n.triggerText}`,
  )

export const readUnplaced = (n: Names): string => reading(['1 AS one'], `FROM ${n.events} WHERE position IS NULL LIMIT 1`)

/**
 * Numbers the events without a position in order of arrival, as far as it is known.
 *
 * It uses `row_id`, but not in a table that was just adopted, whose rows were numbered in key
 * order. Then it uses the column `timestamp` of an older version of the crate, if there is one,
 * else the sequences. Within an aggregate, it always follows the sequences.
 */
export const placeEvents = (n: Names, came: 'row_id' | 'timestamp' | '0'): string => `
UPDATE ${n.events} AS e
JOIN (
  SELECT row_id, ROW_NUMBER() OVER (ORDER BY came, sequence, type_key, id_key) AS nth
  FROM (
    SELECT row_id, type_key, id_key, sequence,
      MAX(${came}) OVER (PARTITION BY type_key, id_key ORDER BY sequence) AS came
    FROM ${n.events}
    WHERE position IS NULL
  ) AS dated
) AS numbered ON numbered.row_id = e.row_id
SET e.position = CAST(? AS SIGNED) + numbered.nth
WHERE e.position IS NULL`

/** Moves a new sequencer past all existing events. */
export const raiseSequencer = (n: Names): string => `
UPDATE ${n.sequencer} SET position = GREATEST(position, (SELECT COALESCE(MAX(position), 0) FROM ${n.events})) WHERE id = 1`

/** The procedures, in order of creation. */
export const procedures = (n: Names): readonly string[] => [appendProcedure(n), leaseProcedure(n)]

/** A row for each existing table and procedure of the store. */
export const readInstalled = (n: Names): string =>
  reading(
    ['name'],
    `FROM (
  SELECT DISTINCT LOWER(table_name) AS name FROM information_schema.tables
  WHERE table_schema = ${n.databaseText} AND LOWER(table_name) IN (${n.tableTexts.join(', ')})
  UNION ALL
  SELECT routine_name AS name FROM information_schema.routines
  WHERE routine_schema = ${n.databaseText} AND routine_name IN (${n.procedureTexts.join(', ')})
) AS installed`,
  )

/** For the command-line clients of MySQL and MariaDB, which support `DELIMITER`. */
export const printSchema = (n: Names, foreignWriters: boolean): string =>
  [
    `SET SESSION sql_mode = '${schemaMode}';\n`,
    ...tableStatements(n).map((statement) => `${statement};\n`),
    `\n${setRecordedNow(n)};\n`,
    ...(foreignWriters ? indexesForCrate(n).map((statement) => `${statement};\n`) : []),
    '\nDELIMITER //\n',
    ...procedures(n).map((procedure) => `${procedure} //\n`),
    ...(foreignWriters ? [`${positionTrigger(n)} //\n`] : []),
    '\nDELIMITER ;\n',
    `${saveVersion(n)};\n`,
  ].join('')
