import { appendFunction } from './append-function.ts'
import { generationFunctions } from './generation-functions.ts'
import { hasTrigger, horizonFunctions } from './horizon-functions.ts'
import { leaseFunction } from './lease-function.ts'
import type { Names } from './names.ts'
import { readFunction } from './read-function.ts'
import { sessionFunction } from './session-function.ts'

/** Version of the schema. A released version never changes; later ones only add. */
export const schemaVersion = 1

/**
 * The statement that creates the schema, or adds what is missing, also to tables of the Rust crate.
 *
 * It does all or nothing and waits for other processes that run it. As a `DO` block it is a single
 * statement, for drivers and poolers that accept no scripts.
 */
export const schemaStatement = (n: Names): string => `DO $schema$
BEGIN
PERFORM pg_advisory_xact_lock(hashtextextended('cqrs-es ' || ${n.schemaText} || ${n.eventsText}, 0));

-- CREATE … IF NOT EXISTS would use a cache, which may be older than this lock.
IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = ${n.schemaText}) THEN
  CREATE SCHEMA ${n.schema};
END IF;
${parts(n)
  .map(({ is, make }) => `\nIF NOT (${is}) THEN\n${make}\nEND IF;\n`)
  .join('')}
IF NOT EXISTS (SELECT FROM ${n.version} WHERE version >= 1) THEN
  INSERT INTO ${n.version} (version) VALUES (1);
END IF;
END
$schema$;
`

/** The condition that no part of the schema is missing. */
export const isComplete = (n: Names): string =>
  parts(n)
    .map(({ is }) => `(${is})`)
    .join('\n  AND ')

/** A part of the schema: the condition that it exists, and the statements that create it. */
interface Part {
  readonly is: string
  readonly make: string
}

/**
 * A table of this name without these columns belongs to another program. CREATE TABLE then fails,
 * so that nothing is created.
 */
const table = (name: string, columns: Readonly<Record<string, string>>, more: readonly string[] = []): Part => ({
  is: hasColumns(name, Object.keys(columns)),
  make: `CREATE TABLE ${name} (
${[...Object.entries(columns).map(([column, type]) => `  ${column} ${type}`), ...more.map((line) => `  ${line}`)].join(',\n')}
);`,
})

const hasColumns = (name: string, columns: readonly string[]): string =>
  `${columns.length} = (
    SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('${name}') AND attname IN (${columns.map((column) => `'${column}'`).join(', ')})
  )`

/** Ids are compared and ordered by their bytes. */
const id = 'text COLLATE "C" NOT NULL'

const parts = (n: Names): readonly Part[] => [
  table(n.version, { version: 'integer NOT NULL PRIMARY KEY' }),

  table(
    n.events,
    {
      aggregate_type: 'text NOT NULL',
      aggregate_id: 'text NOT NULL',
      sequence: 'bigint NOT NULL CHECK (sequence >= 0)',
      event_type: 'text NOT NULL',
      event_version: 'text NOT NULL',
      payload: 'json NOT NULL',
      metadata: 'json NOT NULL',
    },
    ['PRIMARY KEY (aggregate_type, aggregate_id, sequence)'],
  ),

  table(
    n.snapshots,
    {
      aggregate_type: 'text NOT NULL',
      aggregate_id: 'text NOT NULL',
      last_sequence: 'bigint NOT NULL CHECK (last_sequence >= 0)',
      current_snapshot: 'bigint NOT NULL CHECK (current_snapshot >= 0)',
      payload: 'json NOT NULL',
    },
    ['PRIMARY KEY (aggregate_type, aggregate_id, last_sequence)'],
  ),

  {
    is: `${hasColumns(n.events, ['position', 'recorded_at', 'commit_id'])} AND to_regclass('${n.positions}') IS NOT NULL`,
    make: `ALTER TABLE ${n.events}
  ALTER COLUMN aggregate_type TYPE text COLLATE "C",
  ALTER COLUMN aggregate_id TYPE text COLLATE "C",
  ADD COLUMN IF NOT EXISTS position bigint,
  ADD COLUMN IF NOT EXISTS recorded_at text NOT NULL DEFAULT '1970-01-01T00:00:00.000Z',
  ADD COLUMN IF NOT EXISTS commit_id text NOT NULL DEFAULT '';

ALTER TABLE ${n.events}
  ALTER COLUMN recorded_at SET DEFAULT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- Existing rows get positions in physical order, and within each aggregate in the order of sequences.
IF EXISTS (SELECT FROM ${n.events} WHERE position IS NULL) THEN
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
END IF;

-- Positions in the log. CACHE must stay 1: a position must not be drawn before its transaction holds its lock.
CREATE SEQUENCE IF NOT EXISTS ${n.positions} AS bigint CACHE 1;
IF EXISTS (SELECT FROM ${n.events}) THEN
  PERFORM setval('${n.positions}', greatest((SELECT max(position) FROM ${n.events}), (SELECT last_value FROM ${n.positions})));
END IF;

ALTER TABLE ${n.events}
  ALTER COLUMN position SET DEFAULT nextval('${n.positions}'),
  ALTER COLUMN position SET NOT NULL;

ALTER SEQUENCE ${n.positions} OWNED BY ${n.events}.position;

CREATE UNIQUE INDEX IF NOT EXISTS ${n.byPosition} ON ${n.events} (position);`,
  },

  {
    is: hasColumns(n.snapshots, ['state_version', 'vouched_sequence']),
    make: `-- A snapshot only counts if vouched_sequence shows that this store wrote the row.
ALTER TABLE ${n.snapshots}
  ALTER COLUMN aggregate_type TYPE text COLLATE "C",
  ALTER COLUMN aggregate_id TYPE text COLLATE "C",
  ADD COLUMN IF NOT EXISTS state_version text COLLATE "C" NOT NULL DEFAULT '',
  ADD COLUMN IF NOT EXISTS vouched_sequence bigint NOT NULL DEFAULT 0;`,
  },

  table(
    n.keys,
    {
      aggregate_type: id,
      aggregate_id: id,
      idempotency_key: id,
      command_hash: 'text NOT NULL',
      commit_id: 'text NOT NULL',
      first_sequence: 'bigint NOT NULL',
      last_sequence: 'bigint NOT NULL',
    },
    ['PRIMARY KEY (aggregate_type, aggregate_id, idempotency_key)'],
  ),

  table(
    n.views,
    {
      view_name: id,
      generation: 'bigint NOT NULL',
      view_id: id,
      version: 'bigint NOT NULL',
      payload: 'json NOT NULL',
      sequence: 'bigint',
    },
    ['PRIMARY KEY (view_name, generation, view_id)'],
  ),

  indexTable(n),

  table(n.generations, { view_name: id, generation: 'bigint NOT NULL', view_version: 'text NOT NULL', state: 'text NOT NULL' }, [
    'PRIMARY KEY (view_name, generation)',
  ]),

  table(n.checkpoints, {
    name: `${id} PRIMARY KEY`,
    position: 'text NOT NULL',
    fence: 'bigint NOT NULL',
    commit_id: 'text NOT NULL',
  }),

  table(n.leases, {
    name: `${id} PRIMARY KEY`,
    holder: 'text',
    fence: 'bigint NOT NULL',
    expires_at: 'timestamptz NOT NULL',
  }),

  {
    is: [
      n.checkSession,
      n.read,
      n.horizon,
      n.feed,
      n.addGeneration,
      n.switchGeneration,
      n.removeGeneration,
      n.acquireLease,
      n.append,
    ]
      .map((name) => `to_regproc('${name}') IS NOT NULL`)
      .concat(hasTrigger(n))
      .join(' AND '),
    make: [sessionFunction(n), readFunction(n), horizonFunctions(n), generationFunctions(n), leaseFunction(n), appendFunction(n)]
      .join('')
      .trim(),
  },
]

/**
 * `index_key` is a digest of view and index, because full names could exceed the size of a B-tree
 * entry.
 */
function indexTable(n: Names): Part {
  const columns = {
    view_name: id,
    generation: 'bigint NOT NULL',
    view_id: id,
    index_name: id,
    index_key: 'bytea NOT NULL',
    value: id,
  }
  const { is, make } = table(n.indexes, columns, ['PRIMARY KEY (index_key, generation, value, view_id)'])
  return {
    is,
    make: `${make}\nCREATE UNIQUE INDEX ${n.indexesByView} ON ${n.indexes} (view_name, generation, view_id, index_name);`,
  }
}
