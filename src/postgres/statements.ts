import { digest } from '../sql/names.ts'
import { appendCall } from './append-function.ts'
import type { Statement } from './connection.ts'
import { inCheckedSession } from './fragments.ts'
import { remainingMs } from './lease-function.ts'
import type { Names } from './names.ts'
import { isComplete, schemaStatement } from './schema.ts'

export type Statements = ReturnType<typeof statementsOf>

/**
 * All statements, except those of `find-views.ts` and the functions in `schema.ts`.
 *
 * Values are always bound. Numbers and JSON are returned as text, so that it does not matter how a
 * driver, or a program's own type parsers, read Postgres types.
 */
export function statementsOf(n: Names) {
  // Postgres cuts names to 63 bytes, so a digest distinguishes statements of the same kind.
  const statement = (name: string, text: string): Statement => ({
    name: `cqrs-es ${name} ${digest(text)}${digest(`.${text}`)}`,
    text,
  })
  const checked = (columns: number, rows: string) => inCheckedSession(n, columns, rows)
  return {
    createSchema: { text: schemaStatement(n) },

    readEncoding: {
      text: 'SELECT pg_encoding_to_char(encoding)::text AS encoding FROM pg_database WHERE datname = current_database()',
    },

    readSchema: { text: `SELECT max(version)::text AS version, (${isComplete(n)})::text AS complete FROM ${n.version}` },

    append: statement('append', appendCall(n)),

    notify: statement('notify', "SELECT pg_notify($1, '')"),

    /** The requests are a JSON list. */
    readAggregates: statement(
      'readAggregates',
      `
SELECT nth, kind, position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at, commit_id, version
FROM ${n.read}($1, $2)`,
    ),

    /** Jumps from id to id through the index, however many events each has. */
    readIds: statement(
      'readIds',
      checked(
        1,
        `
WITH RECURSIVE ids (id) AS (
  (SELECT aggregate_id FROM ${n.events} WHERE aggregate_type = $1 AND aggregate_id > $2 ORDER BY aggregate_id LIMIT 1)
  UNION ALL
  SELECT (SELECT aggregate_id FROM ${n.events} WHERE aggregate_type = $1 AND aggregate_id > ids.id ORDER BY aggregate_id LIMIT 1)
  FROM ids WHERE ids.id IS NOT NULL
)
SELECT id FROM ids WHERE id IS NOT NULL LIMIT $3`,
      ),
    ),

    readKey: statement(
      'readKey',
      checked(
        4,
        `
SELECT command_hash, commit_id, first_sequence::text, last_sequence::text FROM ${n.keys}
WHERE aggregate_type = $1 AND aggregate_id = $2 AND idempotency_key = $3`,
      ),
    ),

    /** The keys are a JSON list; a generation of NULL means the live one. */
    readViews: statement(
      'readViews',
      checked(
        5,
        `
SELECT wanted.nth::text, row.generation::text, row.version::text, row.payload::text, row.sequence::text
FROM ROWS FROM (json_to_recordset($1::text::json) AS (n text, g bigint, i text)) WITH ORDINALITY AS wanted(n, g, i, nth)
CROSS JOIN LATERAL (
  SELECT generation, version, payload, sequence FROM ${n.views}
  WHERE view_name = wanted.n AND view_id = wanted.i AND generation = coalesce(wanted.g, ${liveGeneration(n, 'wanted.n')})
  LIMIT 1
) AS row`,
      ),
    ),

    readGenerations: statement(
      'readGenerations',
      checked(
        3,
        `SELECT g.generation::text, view_version, state FROM ${n.generations} AS g WHERE view_name = $1 ORDER BY g.generation`,
      ),
    ),

    addGeneration: statement('addGeneration', `SELECT ${n.addGeneration}($1, $2, $3)::text AS done`),

    switchGeneration: statement('switchGeneration', `SELECT ${n.switchGeneration}($1, $2, $3)::text AS done`),

    removeGeneration: statement('removeGeneration', `SELECT ${n.removeGeneration}($1, $2)::text AS done`),

    readFeed: statement(
      'readFeed',
      `
SELECT log_end::text, page_end::text, position::text, aggregate_type, aggregate_id, sequence::text, event_type, event_version,
  payload, metadata, recorded_at, commit_id, followed
FROM ${n.feed}($1, $2, $3, $4, $5, $6, $7, $8)`,
    ),

    readPositions: statement('readPositions', `SELECT last::text, horizon::text FROM ${n.horizon}()`),

    readCheckpoint: statement(
      'readCheckpoint',
      checked(2, `SELECT position, fence::text AS position_fence FROM ${n.checkpoints} WHERE name = $1`),
    ),

    /**
     * Prevents a takeover until the transaction ends. Returns no row if the lease has no holder.
     */
    lockLease: statement(
      'lockLease',
      `SELECT fence::text FROM ${n.leases} WHERE name = $1 AND holder IS NOT NULL FOR NO KEY UPDATE`,
    ),

    /** Always returns one row, with the id of the transaction. */
    readCheckpointInTransaction: statement(
      'readCheckpointInTransaction',
      `
SELECT pg_current_xact_id()::text AS transaction, position, commit_id
FROM (SELECT) AS one LEFT JOIN ${n.checkpoints} ON name = $1
WHERE ${n.checkSession}()`,
    ),

    /** Returns no row if another transaction is open by now. */
    moveCheckpoint: statement(
      'moveCheckpoint',
      `
INSERT INTO ${n.checkpoints} (name, position, fence, commit_id)
SELECT $1, $2, $3::bigint, $4 WHERE pg_current_xact_id_if_assigned()::text = $5
ON CONFLICT (name) DO UPDATE SET position = excluded.position, fence = excluded.fence, commit_id = excluded.commit_id
RETURNING name`,
    ),

    /** The names are a JSON list; returns one row for each. */
    readConsumers: statement(
      'readConsumers',
      checked(
        6,
        `
SELECT wanted.nth::text, done.position, done.fence::text AS position_fence, lease.holder, lease.fence::text, ${remainingMs}::text AS remaining_ms
FROM json_array_elements_text($1::text::json) WITH ORDINALITY AS wanted(name, nth)
LEFT JOIN ${n.checkpoints} AS done ON done.name = wanted.name
LEFT JOIN ${n.leases} AS lease ON lease.name = wanted.name AND lease.holder IS NOT NULL AND lease.expires_at > clock_timestamp()`,
      ),
    ),

    acquireLease: statement('acquireLease', `SELECT ${n.acquireLease}($1, $2, $3) AS answer`),

    renewLease: statement(
      'renewLease',
      `
WITH renewed AS (
  UPDATE ${n.leases} SET expires_at = clock_timestamp() + $3::float8 * interval '1 millisecond'
  WHERE name = $1 AND fence = $2 AND holder IS NOT NULL
  RETURNING fence::text
)
${checked(1, 'SELECT fence FROM renewed')}`,
    ),

    releaseLease: statement(
      'releaseLease',
      `
WITH released AS (UPDATE ${n.leases} SET holder = NULL WHERE name = $1 AND fence = $2 RETURNING fence::text)
${checked(1, 'SELECT fence FROM released')}`,
    ),
  }
}

export const liveGeneration = (n: Names, view: string): string =>
  `coalesce((SELECT live.generation FROM ${n.generations} AS live WHERE live.view_name = ${view} AND live.state = 'live'), 1)`
