import { checkIsolation, generationLock, indexKey, restoredSequence } from './fragments.ts'
import type { Names } from './names.ts'

/**
 * The columns of roots and events (src/sql/round.ts), with the place of each event in the round.
 *
 * The expected commit id of a root is empty if there is none, and begins with `=` otherwise.
 */
const roots = ['t', 'i', 's', 'c'].map((name) => `root_${name}`)
const events = ['p', 't', 'i', 's', 'e', 'v', 'd', 'm', 'r', 'c'].map((name) => `event_${name}`)
const arrays = [...roots, ...events]
const jsonLists = ['snapshots', 'keys', 'generations', 'views', 'indexes', 'checkpoints']

const typeOf = (array: string): string => (/_[sp]$/.test(array) ? 'bigint[]' : /_[dm]$/.test(array) ? 'json[]' : 'text[]')

/** The call of the function. All values are texts, because drivers differ in other types. */
export const appendCall = (n: Names): string => {
  const values = [...arrays.map((array) => `::text::${typeOf(array)}`), ...jsonLists.map(() => '')]
  return `SELECT ${n.append}(${values.map((cast, at) => `$${at + 1}${cast}`).join(', ')}) AS answer`
}

/** The rows of arrays, with columns of one letter, and on request with the number of each row. */
const rowsOf = (arrays: readonly string[], nth = ''): string =>
  `unnest(${arrays.join(', ')})${nth && ' WITH ORDINALITY'} AS input(${arrays.map((name) => name.slice(-1)).join(', ')}${nth})`
const keysOf = `json_to_recordset(keys::json) AS key(t text, i text, k text, h text, c text, f bigint, l bigint)`
const viewsOf = `json_to_recordset(views::json) AS view(n text, g bigint, i text, f bigint, v bigint, d json, s bigint)`
const indexesOf = `json_to_recordset(indexes::json) AS entry(n text, g bigint, i text, x text, v text)`
const checkpointsOf = `json_to_recordset(checkpoints::json) AS moved(n text, p text, f bigint, c text, e json)`
const snapshotsOf = `json_to_recordset(snapshots::json) AS state(t text, i text, s bigint, v text, d json, n bigint)`

/**
 * The last event of the aggregate `i` of type `t`.
 *
 * A lower bound in `more` keeps Postgres from comparing all of its events on a page of the index.
 */
const headOf = (n: Names, more = ''): string =>
  `SELECT sequence, commit_id FROM ${n.events} WHERE aggregate_type = t AND aggregate_id = i ${more} ORDER BY sequence DESC LIMIT 1`

/** The rows of a list, numbered in list order. */
const numbered = (list: string, columns: string, alias: string): string =>
  `ROWS FROM (json_to_recordset(${list}::json) AS (${columns})) WITH ORDINALITY AS ${alias}`

/**
 * The function that stores a round (src/sql/round.ts), or returns the facts (src/sql/facts.ts).
 *
 * Its parameters are lists of rows, NULL for an empty list. Roots and events are one array per
 * column, because Postgres reads JSON slowly. The others, of which there are few, are JSON.
 *
 * Everything is checked first. Then rows are written table by table, in the order of their keys, so
 * that two rounds cannot deadlock. Events arrive in that order, with their place in the round.
 * Unique keys and row counts detect changes between check and write.
 */
export const appendFunction = (n: Names): string => `
CREATE OR REPLACE FUNCTION ${n.append}(
  ${arrays.map((array) => `${array} ${typeOf(array)}`).join(', ')},
  ${jsonLists.map((list) => `${list} text`).join(', ')}
) RETURNS text LANGUAGE plpgsql
-- Postgres assumes 100 rows in each list, and would scan a whole table of similar size.
SET enable_seqscan TO off SET enable_hashjoin TO off SET enable_mergejoin TO off
AS $body$
DECLARE
  free boolean := true;
  event_count integer := cardinality(event_p);
  positions json := '[]';
  written bigint;
  inserted bigint;
  last bigint;
  first bigint;
  refused text;
BEGIN
${checkIsolation}
  PERFORM ${n.checkSession}();

  -- Until this transaction ends, no switch of a generation, takeover of a lease, or other move of the same checkpoint can happen.
  IF generations IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock_shared(${generationLock(n, 'n')})
    FROM (SELECT DISTINCT n COLLATE "C" AS n FROM json_to_recordset(generations::json) AS generation(n text) ORDER BY 1) AS names;
  END IF;
  IF checkpoints IS NOT NULL THEN
    PERFORM FROM ${n.leases} WHERE name IN (SELECT n FROM ${checkpointsOf}) ORDER BY name FOR NO KEY UPDATE;
  END IF;

  -- One query per list that is not empty: Postgres prepares all of an expression, also the parts that it skips.
  IF root_s IS NOT NULL THEN
    free := NOT EXISTS (
      SELECT FROM ${rowsOf(roots)} LEFT JOIN LATERAL (${headOf(n, 'AND sequence >= s')}) AS head ON true
      WHERE s <> coalesce(head.sequence, 0) OR c <> '' AND c IS DISTINCT FROM '=' || head.commit_id
    );
  END IF;
  IF free AND keys IS NOT NULL THEN
    free := NOT EXISTS (
      SELECT FROM ${keysOf}
      WHERE EXISTS (SELECT FROM ${n.keys} WHERE aggregate_type = t AND aggregate_id = i AND idempotency_key = k)
    );
  END IF;
  IF free AND generations IS NOT NULL THEN
    free := NOT EXISTS (
      SELECT FROM json_to_recordset(generations::json) AS generation(n text, g bigint)
      WHERE g <> coalesce((SELECT generation FROM ${n.generations} WHERE view_name = n AND state = 'live'), 1)
        AND NOT EXISTS (SELECT FROM ${n.generations} WHERE view_name = n AND generation = g AND state = 'building')
    );
  END IF;
  IF free AND views IS NOT NULL THEN
    free := NOT EXISTS (
      SELECT FROM ${viewsOf}
      WHERE f <> coalesce((SELECT version FROM ${n.views} WHERE view_name = n AND generation = g AND view_id = i), 0)
    );
  END IF;
  IF free AND checkpoints IS NOT NULL THEN
    free := NOT EXISTS (
      SELECT FROM ${checkpointsOf}
      WHERE f IS DISTINCT FROM (SELECT fence FROM ${n.leases} WHERE name = n AND holder IS NOT NULL)
        OR c = (SELECT commit_id FROM ${n.checkpoints} WHERE name = n)
        OR json_array_length(e) > 0 AND e ->> 0 IS DISTINCT FROM (SELECT position FROM ${n.checkpoints} WHERE name = n)
    );
  END IF;

  IF free THEN
  BEGIN
    IF event_p IS NOT NULL THEN
      SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END INTO last FROM ${n.positions};
      -- Positions are drawn when the first row is read, after the trigger has taken its lock.
      WITH stored AS (
        INSERT INTO ${n.events}
          (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at, commit_id)
        SELECT (ARRAY(SELECT nextval('${n.positions}') FROM generate_series(1, event_count)))[p], t, i, s, e, v, d, m, r, c
        FROM ${rowsOf(events)}
        RETURNING position
      )
      SELECT count(*), json_agg(position::text ORDER BY position), min(position) INTO written, positions, first FROM stored;
      -- This session drew the position in advance, from a sequence with a CACHE: readers may have passed it.
      IF first <= last THEN
        RAISE EXCEPTION '${restoredSequence(n)}' USING ERRCODE = 'CQ007';
      END IF;
      IF written <> event_count THEN
        RAISE EXCEPTION '% of % events were left out', event_count - written, event_count USING ERRCODE = 'CQ003';
      END IF;
    END IF;

    IF snapshots IS NOT NULL THEN
      -- The Rust crate may have stored several rows of one aggregate.
      DELETE FROM ${n.snapshots} AS old USING ${snapshotsOf}
      WHERE old.aggregate_type = t AND old.aggregate_id = i AND old.ctid <> (
        SELECT ctid FROM ${n.snapshots} WHERE aggregate_type = t AND aggregate_id = i ORDER BY current_snapshot DESC, ctid LIMIT 1
      );
      UPDATE ${n.snapshots} AS old
      SET last_sequence = s, vouched_sequence = s, state_version = v, payload = coalesce(d, 'null'), current_snapshot = old.current_snapshot + n
      FROM ${snapshotsOf}
      WHERE old.aggregate_type = t AND old.aggregate_id = i;
      INSERT INTO ${n.snapshots} (aggregate_type, aggregate_id, last_sequence, current_snapshot, payload, state_version, vouched_sequence)
      SELECT t, i, s, n, coalesce(d, 'null'), v, s FROM ${snapshotsOf}
      WHERE NOT EXISTS (SELECT FROM ${n.snapshots} WHERE aggregate_type = t AND aggregate_id = i);
    END IF;

    IF keys IS NOT NULL THEN
      INSERT INTO ${n.keys} (aggregate_type, aggregate_id, idempotency_key, command_hash, commit_id, first_sequence, last_sequence)
      SELECT t, i, k, h, c, f, l FROM ${keysOf} ORDER BY t COLLATE "C", i COLLATE "C", k COLLATE "C";
      GET DIAGNOSTICS written = ROW_COUNT;
      IF written <> json_array_length(keys::json) THEN
        RAISE EXCEPTION 'an idempotency key was left out' USING ERRCODE = 'CQ003';
      END IF;
    END IF;

    IF views IS NOT NULL THEN
      PERFORM FROM ${n.views} AS old, ${viewsOf}
      WHERE old.view_name = n AND old.generation = g AND old.view_id = i
      ORDER BY old.view_name, old.generation, old.view_id FOR UPDATE OF old;
      UPDATE ${n.views} AS old SET version = v, payload = coalesce(d, 'null'), sequence = s FROM ${viewsOf}
      WHERE old.view_name = n AND old.generation = g AND old.view_id = i AND old.version = f AND f > 0;
      GET DIAGNOSTICS written = ROW_COUNT;
      INSERT INTO ${n.views} (view_name, generation, view_id, version, payload, sequence)
      SELECT n, g, i, v, coalesce(d, 'null'), s FROM ${viewsOf} WHERE f = 0 ORDER BY n COLLATE "C", g, i COLLATE "C";
      GET DIAGNOSTICS inserted = ROW_COUNT;
      IF written + inserted <> json_array_length(views::json) THEN
        RAISE EXCEPTION 'a view row has moved' USING ERRCODE = 'CQ004';
      END IF;

      DELETE FROM ${n.indexes} AS old USING ${viewsOf}
      WHERE f > 0 AND old.view_name = n AND old.generation = g AND old.view_id = i
        AND (old.view_name, old.generation, old.view_id, old.index_name, old.value) NOT IN (SELECT n, g, i, x, v FROM ${indexesOf});
      INSERT INTO ${n.indexes} (view_name, generation, view_id, index_name, index_key, value)
      SELECT n, g, i, x, key, v FROM (SELECT *, ${indexKey('n', 'x')} AS key FROM ${indexesOf}) AS entry
      WHERE NOT EXISTS (
        SELECT FROM ${n.indexes} AS old WHERE old.index_key = key AND old.generation = g AND old.value = v AND old.view_id = i
      );
    END IF;

    IF checkpoints IS NOT NULL THEN
      INSERT INTO ${n.checkpoints} (name, position, fence, commit_id)
      SELECT n, p, f, c FROM ${checkpointsOf} ORDER BY n COLLATE "C"
      ON CONFLICT (name) DO UPDATE SET position = excluded.position, fence = excluded.fence, commit_id = excluded.commit_id;
    END IF;

    RETURN json_build_object('positions', positions);
  EXCEPTION WHEN unique_violation OR SQLSTATE 'CQ004' THEN
    GET STACKED DIAGNOSTICS refused = CONSTRAINT_NAME;
  END;
  END IF;

  RETURN (SELECT json_build_object('refused', refused, 'facts', json_build_object(
    'heads', coalesce((
      SELECT json_agg(json_build_object('sequence', coalesce(head.sequence, 0), 'commitId', head.commit_id) ORDER BY nth)
      FROM ${rowsOf(['root_t', 'root_i'], ', nth')} LEFT JOIN LATERAL (${headOf(n)}) AS head ON true), '[]'),
    'positions', coalesce((
      SELECT json_agg((SELECT position::text FROM ${n.events} WHERE aggregate_type = t AND aggregate_id = i AND sequence = s AND commit_id = c) ORDER BY p)
      FROM ${rowsOf(['event_p', 'event_t', 'event_i', 'event_s', 'event_c'])}), '[]'),
    'keys', coalesce((
      SELECT json_agg(EXISTS (SELECT FROM ${n.keys} WHERE aggregate_type = t AND aggregate_id = i AND idempotency_key = k) ORDER BY nth)
      FROM ${numbered('keys', 't text, i text, k text', 'key(t, i, k, nth)')}), '[]'),
    'generations', coalesce((
      SELECT json_agg((
        SELECT coalesce(json_agg(json_build_object('generation', generation, 'viewVersion', view_version, 'state', state)), '[]')
        FROM ${n.generations} WHERE view_name = n) ORDER BY nth)
      FROM ${numbered('generations', 'n text', 'generation(n, nth)')}), '[]'),
    'views', coalesce((
      SELECT json_agg(coalesce((SELECT version FROM ${n.views} WHERE view_name = n AND generation = g AND view_id = i), 0) ORDER BY nth)
      FROM ${numbered('views', 'n text, g bigint, i text', 'view(n, g, i, nth)')}), '[]'),
    'checkpoints', coalesce((
      SELECT json_agg(json_build_object(
        'fence', (SELECT fence FROM ${n.leases} WHERE name = n AND holder IS NOT NULL),
        'position', (SELECT position FROM ${n.checkpoints} WHERE name = n),
        'commitId', (SELECT commit_id FROM ${n.checkpoints} WHERE name = n)) ORDER BY nth)
      FROM ${numbered('checkpoints', 'n text', 'moved(n, nth)')}), '[]')
  )));
END
$body$;
`
