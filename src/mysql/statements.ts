import { collation, liveGeneration, rowsOf } from './fragments.ts'
import { remainingMs } from './lease-procedure.ts'
import type { Names } from './names.ts'
import { alone, reading, readSession, unfitSettings } from './session.ts'

export type Statements = ReturnType<typeof statementsOf>

/**
 * All statements, except those of `find-views.ts` and of the schema.
 *
 * Values are always bound, `?` by `?`. Each statement checks the session itself, except within a
 * transaction that has checked it.
 */
export function statementsOf(n: Names) {
  return {
    append: `CALL ${n.append}(?, ?, ?, ?, ?, ?, ?, ?, ?, ${unfitSettings})`,

    readSession,

    readSchemaVersion: reading(['MAX(version) AS version'], `FROM ${n.version}`),

    readPacketLimit: reading(['@@max_allowed_packet AS bytes'], ''),

    readEvents: reading(
      eventColumns,
      eventsPage(n, 'sequence', 'type_key = ? AND id_key = ? AND sequence > ? AND sequence <= ?'),
    ),

    /**
     * Only the snapshot's row has `saved`. One statement, so that all rows are as of one moment.
     */
    readSnapshotAndEvents: reading(
      [
        'current_snapshot AS saved',
        ...nulls({
          sequence: 'last_sequence',
          payload: 'CONVERT(payload USING utf8mb4)',
          commit_id: `(SELECT e.commit_id FROM ${n.events} AS e WHERE e.type_key = s.type_key AND e.id_key = s.id_key AND e.sequence = s.last_sequence)`,
        }),
      ],
      `FROM ${n.snapshots} AS s
WHERE ${trusted})
UNION ALL
(SELECT NULL, NULL, ${eventColumns.join(', ')}
${eventsPage(n, 'sequence', `type_key = ? AND id_key = ? AND sequence > COALESCE((SELECT last_sequence FROM ${n.snapshots} WHERE ${trusted}), CAST(? AS SIGNED)) AND sequence <= ?`)}`,
    ),

    /** Reads the index alone, up to the last id of the page. */
    readIds: reading(
      ['id'],
      `FROM (
  SELECT DISTINCT id_key AS id FROM ${n.events}
  WHERE type_key = ? AND id_key > ?
  ORDER BY id_key LIMIT ?
) AS ids
ORDER BY id`,
    ),

    readKey: reading(
      ['command_hash', 'commit_id', 'first_sequence', 'last_sequence'],
      `FROM ${n.keys}
WHERE aggregate_type = ? AND aggregate_id = ? AND idempotency_key = ?`,
    ),

    readView: reading(
      ['1 AS nth', ...viewColumns],
      `FROM ${n.views} AS v
WHERE v.view_name = ? AND v.generation = ? AND v.view_id = ?`,
    ),

    readLiveView: reading(
      ['1 AS nth', ...viewColumns],
      `FROM ${n.views} AS v
WHERE v.view_name = ? AND v.generation = ${liveGeneration(n, '?')} AND v.view_id = ?`,
    ),

    /** The keys are a JSON list; a key without a generation means the live one. */
    readViews: reading(
      ['r.nth', ...viewColumns],
      `FROM ${rowsOf('?', { n: 'name', g: 'number', i: 'name' })} AS r
STRAIGHT_JOIN ${n.views} AS v ON v.view_name = r.n COLLATE ${collation} AND v.view_id = r.i COLLATE ${collation}
  AND v.generation = COALESCE(r.g, ${liveGeneration(n, `r.n COLLATE ${collation}`)})`,
    ),

    readGenerations: reading(
      ['generation', 'view_version', 'state'],
      `FROM ${n.generations} WHERE view_name = ? ORDER BY generation`,
    ),

    insertGeneration: `INSERT INTO ${n.generations} (view_name, generation, view_version, state) VALUES (?, ?, ?, ?)`,

    updateGeneration: `UPDATE ${n.generations} SET state = ? WHERE view_name = ? AND generation = ?`,

    deleteGeneration: `DELETE FROM ${n.generations} WHERE view_name = ? AND generation = ? ${alone}`,

    deleteSomeViews: `DELETE FROM ${n.views} WHERE view_name = ? AND generation = ? ${alone} LIMIT 5000`,

    deleteSomeIndexes: `DELETE FROM ${n.indexes} WHERE view_name = ? AND generation = ? ${alone} LIMIT 5000`,

    lockSequencer: `SELECT position FROM ${n.sequencer} WHERE id = 1 LIMIT 1 FOR UPDATE`,

    moveSequencer: `UPDATE ${n.sequencer} SET position = ? WHERE id = 1`,

    readLastPosition: reading(['position'], `FROM ${n.sequencer} WHERE id = 1`),

    readFeed: feedPage(n, ''),

    readFeedOnly: (filter: string): string => feedPage(n, filter),

    readCheckpoint: reading(['position', 'fence AS position_fence', 'commit_id'], `FROM ${n.checkpoints} WHERE name = ?`),

    moveCheckpoint: `
INSERT INTO ${n.checkpoints} (name, position, fence, commit_id) VALUES (?, ?, ?, ?)
ON DUPLICATE KEY UPDATE position = VALUES(position), fence = VALUES(fence), commit_id = VALUES(commit_id)`,

    lockHeldLease: `SELECT fence FROM ${n.leases} WHERE name = ? AND holder IS NOT NULL LIMIT 1 FOR UPDATE`,

    acquireLease: `CALL ${n.acquireLease}(?, ?, ?, ${unfitSettings})`,

    /** The names are a JSON list; returns one row for each. */
    readConsumers: reading(
      ['r.nth', 'c.position', 'c.fence AS position_fence', 'l.holder', 'l.fence', `${remainingMs} AS remaining_ms`],
      `FROM ${rowsOf('?', { n: 'name' })} AS r
LEFT JOIN ${n.checkpoints} AS c FORCE INDEX (PRIMARY) ON c.name = r.n COLLATE ${collation}
LEFT JOIN ${n.leases} AS l FORCE INDEX (PRIMARY) ON l.name = r.n COLLATE ${collation} AND l.holder IS NOT NULL AND l.expires_at > UTC_TIMESTAMP(6)`,
    ),

    renewLease: `
UPDATE ${n.leases} SET expires_at = UTC_TIMESTAMP(6) + INTERVAL CAST(? AS SIGNED) MICROSECOND
WHERE name = ? AND fence = ? AND holder IS NOT NULL ${alone}`,

    releaseLease: `UPDATE ${n.leases} SET holder = NULL WHERE name = ? AND fence = ? ${alone}`,
  }
}

const viewColumns = ['v.generation', 'v.version', 'CONVERT(v.payload USING utf8mb4) AS payload', 'v.sequence']

/** JSON is read as text: drivers parse columns of the type JSON. */
const eventColumns = [
  'page.found',
  'e.position',
  'e.aggregate_type',
  'e.aggregate_id',
  'e.sequence',
  'e.event_type',
  'e.event_version',
  'CONVERT(e.payload USING utf8mb4) AS payload',
  'CONVERT(e.metadata USING utf8mb4) AS metadata',
  'e.recorded_at',
  'e.commit_id',
]

/** The columns of events for a row that is not an event, with NULL by default. */
const nulls = (given: Readonly<Record<string, string>>): string[] =>
  eventColumns.map((column) => {
    const name = /\w+$/.exec(column)?.[0] ?? ''
    return `${given[name] ?? 'NULL'} AS ${name}`
  })

/** Condition for a snapshot that this store wrote and no other program changed. */
const trusted = `type_key = ? AND id_key = ? AND state_version = ?
  AND vouched_sequence = last_sequence AND last_sequence > ? AND last_sequence <= ?`

/** A page ends with the event that reaches this size, to bound memory. */
const bytesPerPage = 4_000_000

/**
 * The source of a page of events; `found` is the number of events that qualify.
 *
 * The index is forced. For a large page, MariaDB would otherwise scan all earlier events, and MySQL
 * might choose another index for a filter.
 */
const eventsPage = (n: Names, order: 'sequence' | 'position', condition: string): string => `FROM (
  SELECT row_id, SUM(bytes) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) - bytes AS ahead, COUNT(*) OVER () AS found
  FROM (
    SELECT row_id, bytes, ${order} AS place FROM ${n.events} FORCE INDEX (${order === 'sequence' ? 'by_aggregate' : 'by_position'})
    WHERE ${condition}
    ORDER BY ${order} LIMIT ?
  ) AS wanted
) AS page
STRAIGHT_JOIN ${n.events} AS e ON e.row_id = page.row_id
WHERE page.ahead < ${bytesPerPage}`

/** A column of the last event up to a position. */
const lastUpTo = (n: Names, column: string): string =>
  `(SELECT ${column} FROM ${n.events} WHERE position <= ? ORDER BY position DESC LIMIT 1)`

/**
 * A page of the log, read in one statement, so that it is complete up to the sequencer's position.
 *
 * The row with `log_end` has the end of the log, and names an event without a position if there is
 * one.
 */
const feedPage = (n: Names, filter: string): string =>
  reading(
    [
      's.position AS log_end',
      `(SELECT COUNT(*) FROM ${n.events} WHERE position = ? AND commit_id = ?) AS kept`,
      ...nulls({
        position: lastUpTo(n, 'position'),
        aggregate_type: 'u.aggregate_type',
        aggregate_id: 'u.aggregate_id',
        sequence: 'u.sequence',
        commit_id: lastUpTo(n, 'commit_id'),
      }),
    ],
    `FROM ${n.sequencer} AS s
LEFT JOIN (SELECT aggregate_type, aggregate_id, sequence FROM ${n.events} WHERE position IS NULL LIMIT 1) AS u ON TRUE
WHERE s.id = 1)
UNION ALL
(SELECT NULL, NULL, NULL, ${eventColumns.join(', ')}
${eventsPage(n, 'position', `position > ? AND position <= ? ${filter}`)}`,
  )
