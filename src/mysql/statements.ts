import { collation, liveGeneration, rowsOf } from './fragments.ts'
import type { Names } from './names.ts'

export type Statements = ReturnType<typeof statementsOf>

/** Read as text: a driver, or a `typeCast` of the user's, might make something else of a column of the type JSON. */
const payload = 'CONVERT(payload USING utf8mb4) AS payload'

const eventColumns = `position, aggregate_type, aggregate_id, sequence, event_type, event_version, ${payload}, CONVERT(metadata USING utf8mb4) AS metadata, recorded_at, commit_id`

/** Every statement of the store, but those of `find-views.ts` and of the schema. Values are always bound, `?` by `?`. */
export function statementsOf(n: Names) {
  return {
    append: `CALL ${n.append}(?, ?, ?, ?, ?, ?, ?, ?, ?, @@character_set_client)`,

    readSchemaVersion: `SELECT MAX(version) AS version FROM ${n.version}`,

    readPacketLimit: 'SELECT @@max_allowed_packet AS bytes',

    /** MariaDB would look up the aggregate and walk through all of its events to the first that is asked for, unless it is made to use the index for what it is. */
    readEvents: `
SELECT ${eventColumns} FROM ${n.events} FORCE INDEX (by_aggregate)
WHERE type_key = ? AND id_key = ? AND sequence > ? AND sequence <= ?
ORDER BY sequence LIMIT ?`,

    /** The snapshot, where there is one, is the first row. One statement, so that both are as of one moment. */
    readSnapshotAndEvents: `
SELECT current_snapshot AS saved, NULL AS position, NULL AS aggregate_type, NULL AS aggregate_id, last_sequence AS sequence, NULL AS event_type,
  NULL AS event_version, ${payload}, NULL AS metadata, NULL AS recorded_at, NULL AS commit_id
FROM ${n.snapshots}
WHERE ${trusted}
UNION ALL
(SELECT NULL AS saved, ${eventColumns} FROM ${n.events} FORCE INDEX (by_aggregate)
WHERE type_key = ? AND id_key = ? AND sequence > COALESCE((SELECT last_sequence FROM ${n.snapshots} WHERE ${trusted}), CAST(? AS SIGNED)) AND sequence <= ?
ORDER BY sequence LIMIT ?)`,

    /** Through the index alone, up to the last id of the page. */
    readIds: `
SELECT DISTINCT id_key AS id FROM ${n.events}
WHERE type_key = ? AND id_key > ?
ORDER BY id_key LIMIT ?`,

    readKey: `
SELECT command_hash, commit_id, first_sequence, last_sequence FROM ${n.keys}
WHERE aggregate_type = ? AND aggregate_id = ? AND idempotency_key = ?`,

    readView: `
SELECT 1 AS nth, generation, version, ${payload}, sequence FROM ${n.views}
WHERE view_name = ? AND generation = ? AND view_id = ?`,

    readLiveView: `
SELECT 1 AS nth, v.generation, v.version, CONVERT(v.payload USING utf8mb4) AS payload, v.sequence FROM ${n.views} AS v
WHERE v.view_name = ? AND v.generation = ${liveGeneration(n, '?')} AND v.view_id = ?`,

    /** The keys as a list in JSON; without a generation it is the live one. */
    readViews: `
SELECT r.nth, v.generation, v.version, CONVERT(v.payload USING utf8mb4) AS payload, v.sequence
FROM ${rowsOf('?', { n: 'name', g: 'number', i: 'name' })} AS r
STRAIGHT_JOIN ${n.views} AS v ON v.view_name = r.n COLLATE ${collation} AND v.view_id = r.i COLLATE ${collation}
  AND v.generation = COALESCE(r.g, ${liveGeneration(n, `r.n COLLATE ${collation}`)})`,

    readGenerations: `SELECT generation, view_version, state FROM ${n.generations} WHERE view_name = ? ORDER BY generation`,

    insertGeneration: `INSERT INTO ${n.generations} (view_name, generation, view_version, state) VALUES (?, ?, ?, ?)`,

    updateGeneration: `UPDATE ${n.generations} SET state = ? WHERE view_name = ? AND generation = ?`,

    deleteGeneration: `DELETE FROM ${n.generations} WHERE view_name = ? AND generation = ?`,

    deleteSomeViews: `DELETE FROM ${n.views} WHERE view_name = ? AND generation = ? LIMIT 5000`,

    deleteSomeIndexes: `DELETE FROM ${n.indexes} WHERE view_name = ? AND generation = ? LIMIT 5000`,

    lockSequencer: `SELECT position FROM ${n.sequencer} WHERE id = 1 FOR UPDATE`,

    moveSequencer: `UPDATE ${n.sequencer} SET position = ? WHERE id = 1`,

    readLastPosition: `SELECT position FROM ${n.sequencer} WHERE id = 1`,

    /** Head of a page of the feed: how far the log goes, and an event that has no position. */
    readFeed: feedPage(n, ''),

    readFeedOnly: (filter: string): string => feedPage(n, filter),

    readCheckpoint: `SELECT position, fence FROM ${n.checkpoints} WHERE name = ?`,

    /** Locks the row, which is made if need be; fence 0 was never given out. */
    lockLease: `
INSERT INTO ${n.leases} (name, holder, fence, expires_at) VALUES (?, NULL, 0, UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE fence = fence`,

    takeLease: `
UPDATE ${n.leases} SET holder = ?, fence = fence + 1, expires_at = UTC_TIMESTAMP(6) + INTERVAL CAST(? AS SIGNED) MICROSECOND
WHERE name = ? AND (holder IS NULL OR holder = ? OR expires_at <= UTC_TIMESTAMP(6))`,

    readLease: `
SELECT holder, fence, GREATEST(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), expires_at), 0) AS remaining FROM ${n.leases} WHERE name = ?`,

    renewLease: `
UPDATE ${n.leases} SET expires_at = UTC_TIMESTAMP(6) + INTERVAL CAST(? AS SIGNED) MICROSECOND
WHERE name = ? AND fence = ? AND holder IS NOT NULL`,

    releaseLease: `UPDATE ${n.leases} SET holder = NULL WHERE name = ? AND fence = ?`,
  }
}

/** A snapshot that this store has written, and nobody since. */
const trusted = `type_key = ? AND id_key = ? AND state_version = ?
  AND vouched_sequence = last_sequence AND last_sequence > ? AND last_sequence <= ?`

/**
 * One statement, so as of one moment: whatever is at or below the sequencer's position is there. Both halves read an index by position; the second is told so, since by
 * a filter MySQL might take the primary key and sort.
 */
const feedPage = (n: Names, filter: string): string => `
SELECT s.position AS log_end, @@autocommit AS autocommit, NULL AS position, u.aggregate_type, u.aggregate_id, u.sequence, NULL AS event_type,
  NULL AS event_version, NULL AS payload, NULL AS metadata, NULL AS recorded_at, NULL AS commit_id
FROM ${n.sequencer} AS s
LEFT JOIN (SELECT aggregate_type, aggregate_id, sequence FROM ${n.events} WHERE position IS NULL LIMIT 1) AS u ON TRUE
WHERE s.id = 1
UNION ALL
(SELECT NULL AS log_end, NULL AS autocommit, ${eventColumns} FROM ${n.events} FORCE INDEX (by_position)
WHERE position > ? AND position <= ? ${filter}
ORDER BY position LIMIT ?)`
