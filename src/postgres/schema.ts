import { appendFunction } from './append-function.ts'
import { generationFunctions } from './generation-functions.ts'
import { horizonFunctions } from './horizon-functions.ts'
import type { Names } from './names.ts'

/** A released version never changes; later ones only add. */
export const schemaVersion = 1

/**
 * One statement that makes the schema, or brings an older one or the tables of the Rust crate up to date: all of it or nothing. It waits for others who do the same.
 * A `DO` block, so that it is a single statement for drivers and poolers that take no scripts.
 */
export const schemaStatement = (n: Names): string => `DO $schema$
DECLARE
  adopted boolean;
BEGIN
PERFORM pg_advisory_xact_lock(hashtextextended('cqrs-es ' || ${n.schemaText} || ${n.eventsText}, 0));

-- Not IF NOT EXISTS: that asks a cache, which may be from before the lock was ours.
IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = ${n.schemaText}) THEN
  CREATE SCHEMA ${n.schema};
END IF;

CREATE TABLE IF NOT EXISTS ${n.version} (
  version integer NOT NULL PRIMARY KEY
);

IF NOT EXISTS (SELECT FROM ${n.version} WHERE version >= 1) THEN
${version1(n)}
INSERT INTO ${n.version} (version) VALUES (1);
END IF;
END
$schema$;
`

const version1 = (n: Names): string => `
adopted := to_regclass('${n.events}') IS NOT NULL;

CREATE TABLE IF NOT EXISTS ${n.events} (
  aggregate_type text NOT NULL,
  aggregate_id text NOT NULL,
  sequence bigint NOT NULL CHECK (sequence >= 0),
  event_type text NOT NULL,
  event_version text NOT NULL,
  payload json NOT NULL,
  metadata json NOT NULL,
  PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);

CREATE TABLE IF NOT EXISTS ${n.snapshots} (
  aggregate_type text NOT NULL,
  aggregate_id text NOT NULL,
  last_sequence bigint NOT NULL CHECK (last_sequence >= 0),
  current_snapshot bigint NOT NULL CHECK (current_snapshot >= 0),
  payload json NOT NULL,
  PRIMARY KEY (aggregate_type, aggregate_id, last_sequence)
);

-- Ids are compared and ordered by their bytes.
ALTER TABLE ${n.events}
  ALTER COLUMN aggregate_type TYPE text COLLATE "C",
  ALTER COLUMN aggregate_id TYPE text COLLATE "C";

-- The place of an event in the whole log. CACHE must stay 1: a position must not be drawn before its transaction holds its lock.
CREATE SEQUENCE ${n.positions} AS bigint CACHE 1;

ALTER TABLE ${n.events}
  ADD COLUMN position bigint,
  ADD COLUMN recorded_at text NOT NULL DEFAULT '1970-01-01T00:00:00.000Z',
  ADD COLUMN commit_id text NOT NULL DEFAULT '';

ALTER TABLE ${n.events}
  ALTER COLUMN recorded_at SET DEFAULT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- Rows that were there before get the positions of their physical order, in the order of their sequences within each aggregate.
IF adopted THEN
  UPDATE ${n.events} AS event SET position = slots.slot
  FROM (
    SELECT aggregate_type, aggregate_id,
      row_number() OVER (ORDER BY ctid) AS slot,
      row_number() OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY ctid) AS nth
    FROM ${n.events}
  ) AS slots
  JOIN (
    SELECT aggregate_type, aggregate_id, sequence,
      row_number() OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY sequence) AS nth
    FROM ${n.events}
  ) AS ranked USING (aggregate_type, aggregate_id, nth)
  WHERE event.aggregate_type = ranked.aggregate_type AND event.aggregate_id = ranked.aggregate_id AND event.sequence = ranked.sequence;
  PERFORM setval('${n.positions}', greatest((SELECT max(position) FROM ${n.events}), 1), EXISTS (SELECT FROM ${n.events}));
END IF;

ALTER TABLE ${n.events}
  ALTER COLUMN position SET DEFAULT nextval('${n.positions}'),
  ALTER COLUMN position SET NOT NULL;

ALTER SEQUENCE ${n.positions} OWNED BY ${n.events}.position;

CREATE UNIQUE INDEX ${n.byPosition} ON ${n.events} (position);

-- A snapshot counts only where vouched_sequence says that this store wrote that very row.
ALTER TABLE ${n.snapshots}
  ALTER COLUMN aggregate_type TYPE text COLLATE "C",
  ALTER COLUMN aggregate_id TYPE text COLLATE "C",
  ADD COLUMN state_version text COLLATE "C" NOT NULL DEFAULT '',
  ADD COLUMN vouched_sequence bigint NOT NULL DEFAULT 0;

CREATE TABLE ${n.keys} (
  aggregate_type text COLLATE "C" NOT NULL,
  aggregate_id text COLLATE "C" NOT NULL,
  idempotency_key text COLLATE "C" NOT NULL,
  command_hash text NOT NULL,
  commit_id text NOT NULL,
  first_sequence bigint NOT NULL,
  last_sequence bigint NOT NULL,
  PRIMARY KEY (aggregate_type, aggregate_id, idempotency_key)
);

CREATE TABLE ${n.views} (
  view_name text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  view_id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  payload json NOT NULL,
  sequence bigint,
  PRIMARY KEY (view_name, generation, view_id)
);

-- index_key is a digest of view and index: with the two names in full, an entry could be longer than a B-tree takes.
CREATE TABLE ${n.indexes} (
  view_name text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  view_id text COLLATE "C" NOT NULL,
  index_name text COLLATE "C" NOT NULL,
  index_key bytea NOT NULL,
  value text COLLATE "C" NOT NULL,
  PRIMARY KEY (index_key, generation, value, view_id)
);

CREATE UNIQUE INDEX ${n.indexesByView} ON ${n.indexes} (view_name, generation, view_id, index_name);

CREATE TABLE ${n.generations} (
  view_name text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  view_version text NOT NULL,
  state text NOT NULL,
  PRIMARY KEY (view_name, generation)
);

CREATE TABLE ${n.checkpoints} (
  name text COLLATE "C" NOT NULL PRIMARY KEY,
  position text NOT NULL,
  fence bigint NOT NULL,
  commit_id text NOT NULL
);

CREATE TABLE ${n.leases} (
  name text COLLATE "C" NOT NULL PRIMARY KEY,
  holder text,
  fence bigint NOT NULL,
  expires_at timestamptz NOT NULL
);

${horizonFunctions(n)}
${generationFunctions(n)}
${appendFunction(n)}`
