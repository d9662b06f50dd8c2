/**
 * All statements of the store, except those of `find-views.ts`. Values are always bound, `?` by
 * `?`.
 *
 * Tables are prefixed with `main`, because a temporary table of the same name would win.
 */

/** Sets the pragmas of a transaction each time, because the user may have changed them. */
export const begin = {
  read: 'PRAGMA read_uncommitted = 0; BEGIN',
  write: (synchronous: 'FULL' | 'NORMAL') => `PRAGMA synchronous = ${synchronous}; BEGIN IMMEDIATE`,
} as const

/** Omits long texts, which `readTexts` reads event by event, so that they are not all in memory. */
const eventColumns = `
  position, aggregate_type, aggregate_id, sequence, event_type, event_version, recorded_at, commit_id,
  CASE WHEN length(payload) <= 2000 THEN payload END AS payload,
  CASE WHEN length(metadata) <= 2000 THEN metadata END AS metadata`

export const readTexts = 'SELECT payload, metadata FROM main.events WHERE position = ?'

/**
 * The first read takes the lock, since `BEGIN` alone takes none.
 *
 * Do not prepare this statement: libsql leaves a prepared statement running when it meets a lock,
 * and a running statement prevents `PRAGMA journal_mode`.
 */
export const takeReadLock = 'SELECT 1 FROM main.sqlite_master LIMIT 1'

/** Milliseconds since 1970, by SQLite's clock. */
const now = `CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)`

export const readSchemaVersion = 'SELECT max(version) AS version FROM main.cqrs_es_schema'

export const readHead =
  'SELECT sequence, commit_id FROM main.events WHERE aggregate_type = ? AND aggregate_id = ? ORDER BY sequence DESC LIMIT 1'

export const readCommitPositions = `
SELECT position FROM main.events
WHERE aggregate_type = ? AND aggregate_id = ? AND sequence > ? AND sequence <= ? AND commit_id = ?
ORDER BY sequence`

export const insertEvent = `
INSERT INTO main.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at, commit_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`

export const readEvents = `
SELECT ${eventColumns} FROM main.events
WHERE aggregate_type = ? AND aggregate_id = ? AND sequence > ? AND sequence <= ?
ORDER BY sequence LIMIT ?`

/** Jumps from id to id through the index, however many events each has. The type is bound twice. */
export const readIds = `
WITH RECURSIVE ids (id) AS (
  SELECT min(aggregate_id) FROM main.events WHERE aggregate_type = ? AND aggregate_id > ?
  UNION ALL
  SELECT (SELECT min(aggregate_id) FROM main.events WHERE aggregate_type = ? AND aggregate_id > ids.id) FROM ids WHERE ids.id IS NOT NULL
)
SELECT id FROM ids WHERE id IS NOT NULL LIMIT ?`

export const readCommitAt = 'SELECT commit_id FROM main.events WHERE position = ?'

export const readLastUpTo = 'SELECT position, commit_id FROM main.events WHERE position <= ? ORDER BY position DESC LIMIT 1'

export const readLastPosition = 'SELECT max(position) AS position FROM main.events'

export const readFeed = `
SELECT ${eventColumns} FROM main.events
WHERE position > ? AND position <= ?
ORDER BY position LIMIT ?`

/** Third value: JSON list of aggregate types. Fourth: JSON list of `aggregate type/event type`. */
export const readFeedOnly = `
SELECT ${eventColumns} FROM main.events
WHERE position > ? AND position <= ?
  AND (aggregate_type IN (SELECT value FROM json_each(?)) OR aggregate_type || '/' || event_type IN (SELECT value FROM json_each(?)))
ORDER BY position LIMIT ?`

export const readSnapshot = `
SELECT last_sequence AS sequence, current_snapshot AS version, payload,
  (SELECT commit_id FROM main.events AS e
   WHERE e.aggregate_type = s.aggregate_type AND e.aggregate_id = s.aggregate_id AND e.sequence = s.last_sequence) AS commit_id
FROM main.snapshots AS s
WHERE aggregate_type = ? AND aggregate_id = ? AND state_version = ?
  AND vouched_sequence = last_sequence AND last_sequence > ? AND last_sequence <= ?`

export const saveSnapshot = `
INSERT INTO main.snapshots (aggregate_type, aggregate_id, last_sequence, current_snapshot, payload, state_version, vouched_sequence)
VALUES (?, ?, ?, 1, ?, ?, ?)
ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET
  last_sequence = excluded.last_sequence, current_snapshot = current_snapshot + 1, payload = excluded.payload,
  state_version = excluded.state_version, vouched_sequence = excluded.vouched_sequence`

export const readKey = `
SELECT command_hash, commit_id, first_sequence, last_sequence FROM main.idempotency_keys
WHERE aggregate_type = ? AND aggregate_id = ? AND idempotency_key = ?`

export const insertKey = `
INSERT INTO main.idempotency_keys (aggregate_type, aggregate_id, idempotency_key, command_hash, commit_id, first_sequence, last_sequence)
VALUES (?, ?, ?, ?, ?, ?, ?)`

export const readViewVersion = 'SELECT version FROM main.views WHERE view_name = ? AND generation = ? AND view_id = ?'

export const readView = `
SELECT view_id, generation, version, payload, sequence FROM main.views
WHERE view_name = ? AND generation = ? AND view_id = ?`

export const saveView = `
INSERT INTO main.views (view_name, generation, view_id, version, payload, sequence)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (view_name, generation, view_id) DO UPDATE SET
  version = excluded.version, payload = excluded.payload, sequence = excluded.sequence`

export const deleteViewIndexes = 'DELETE FROM main.view_indexes WHERE view_name = ? AND generation = ? AND view_id = ?'

export const insertViewIndex =
  'INSERT INTO main.view_indexes (view_name, generation, view_id, index_name, value) VALUES (?, ?, ?, ?, ?)'

export const readGenerations =
  'SELECT generation, view_version, state FROM main.view_generations WHERE view_name = ? ORDER BY generation'

export const insertGeneration =
  'INSERT INTO main.view_generations (view_name, generation, view_version, state) VALUES (?, ?, ?, ?)'

export const updateGeneration = 'UPDATE main.view_generations SET state = ? WHERE view_name = ? AND generation = ?'

export const deleteGeneration = 'DELETE FROM main.view_generations WHERE view_name = ? AND generation = ?'

export const deleteGenerationViews = 'DELETE FROM main.views WHERE view_name = ? AND generation = ?'

export const deleteGenerationIndexes = 'DELETE FROM main.view_indexes WHERE view_name = ? AND generation = ?'

export const readCheckpoint = 'SELECT position, fence AS position_fence, commit_id FROM main.checkpoints WHERE name = ?'

export const saveCheckpoint = `
INSERT INTO main.checkpoints (name, position, fence, commit_id) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET position = excluded.position, fence = excluded.fence, commit_id = excluded.commit_id`

export const readFence = 'SELECT fence FROM main.leases WHERE name = ? AND holder IS NOT NULL'

export const takeLease = `
INSERT INTO main.leases (name, holder, fence, expires_at) VALUES (?, ?, 1, ${now} + ?)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = fence + 1, expires_at = excluded.expires_at
WHERE leases.holder IS NULL OR leases.holder = excluded.holder OR leases.expires_at <= ${now}
RETURNING fence`

export const readLease = `SELECT holder, max(expires_at - ${now}, 0) AS remaining_ms FROM main.leases WHERE name = ?`

/** One row for each of the names in a JSON list, in list order. */
export const readConsumers = `
SELECT done.position AS position, done.fence AS position_fence, lease.holder AS holder, lease.fence AS fence,
  lease.expires_at - ${now} AS remaining_ms
FROM json_each(?) AS wanted
LEFT JOIN main.checkpoints AS done ON done.name = wanted.value
LEFT JOIN main.leases AS lease ON lease.name = wanted.value AND lease.holder IS NOT NULL AND lease.expires_at > ${now}
ORDER BY wanted.key`

export const renewLease = `
UPDATE main.leases SET expires_at = ${now} + ? WHERE name = ? AND fence = ? AND holder IS NOT NULL
RETURNING fence`

export const releaseLease = 'UPDATE main.leases SET holder = NULL WHERE name = ? AND fence = ?'
