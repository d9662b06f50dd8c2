import { bytesBefore, checkIsolation, isFollowed, restoredSequence } from './fragments.ts'
import type { Names } from './names.ts'

/**
 * Functions that read the log up to the horizon, below which no position can still appear.
 *
 * A position is drawn before its transaction commits, so a higher one can be visible while a lower
 * one is in flight. Therefore each writer holds, until its transaction ends, a shared advisory lock
 * on the last position drawn before its own. A reader stops at the lowest of those. No process
 * waits for another.
 *
 * The reader must read three things in this order, each with a fresh snapshot: the last position
 * drawn, the locks, the rows. A writer without a lock at the second step had drawn nothing at the
 * first, or has ended and is visible at the third. In one statement, or with one snapshot, events
 * would be missed.
 */
export const horizonFunctions = (n: Names): string => `
CREATE OR REPLACE FUNCTION ${n.lockHorizon}() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
  last bigint;
BEGIN
  SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END INTO last FROM ${n.positions};
  PERFORM pg_advisory_xact_lock_shared(${lockClass(n)}, (last % 2147483648)::integer);
  RETURN NULL;
END
$body$;

IF NOT ${hasTrigger(n)} THEN
  CREATE TRIGGER ${n.trigger} BEFORE INSERT ON ${n.events} FOR EACH STATEMENT EXECUTE FUNCTION ${n.lockHorizon}();
END IF;

-- ALWAYS: also on a subscriber of logical replication, and in a session that has switched triggers off.
ALTER TABLE ${n.events} ENABLE ALWAYS TRIGGER ${n.trigger};

CREATE OR REPLACE FUNCTION ${n.horizon}(OUT last bigint, OUT horizon bigint) LANGUAGE plpgsql AS $body$
DECLARE
  behind bigint;
  altered text;
BEGIN
${checkIsolation}
  PERFORM ${n.checkSession}();
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION 'the log cannot be read in order on a standby server' USING ERRCODE = 'CQ002';
  END IF;
  -- With any of these changes, events could appear below a position that a reader has passed, or get lost.
  SELECT CASE
    WHEN seqcache <> 1 OR seqincrement <> 1 OR seqcycle THEN '${restoredSequence(n)}'
    WHEN events.relpersistence <> 'p' THEN 'ALTER TABLE ${n.events} SET LOGGED'
    WHEN positions.relpersistence <> 'p' THEN 'ALTER SEQUENCE ${n.positions} SET LOGGED'
    WHEN tgenabled IS DISTINCT FROM 'A' THEN coalesce('ALTER TABLE ${n.events} ENABLE ALWAYS TRIGGER ' || tgname, 'createSchema()')
  END INTO altered
  FROM pg_sequence JOIN pg_class AS positions ON positions.oid = seqrelid
  JOIN pg_class AS events ON events.oid = '${n.events}'::regclass
  LEFT JOIN pg_trigger ON tgrelid = events.oid AND tgname = ${n.triggerText}
  WHERE seqrelid = '${n.positions}'::regclass;
  IF altered IS NOT NULL THEN
    RAISE EXCEPTION '%', altered USING ERRCODE = 'CQ007';
  END IF;
  SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END INTO last FROM ${n.positions};
  -- Locks are modulo 2^31: a lock that seems to lag by more than half of that was taken after the last position was read.
  SELECT max(distance) INTO behind
  FROM (
    SELECT (last - objid::bigint + 2147483648) % 2147483648 AS distance
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid = '${n.positions}'::regclass::oid
  ) AS held
  WHERE distance < 1073741824;
  horizon := last - coalesce(behind, 0);
END
$body$;

CREATE OR REPLACE FUNCTION ${n.feed}(
  after bigint, types text, event_types text, reach bigint, most integer, most_bytes bigint, seen bigint, seen_commit text
)
RETURNS TABLE (
  log_end bigint, page_end bigint, "position" bigint, aggregate_type text, aggregate_id text, sequence bigint,
  event_type text, event_version text, payload text, metadata text, recorded_at text, commit_id text, followed text
) LANGUAGE plpgsql AS $body$
#variable_conflict use_column
BEGIN
  SELECT last, least(horizon, after + reach) INTO log_end, page_end FROM ${n.horizon}();
  IF seen IS NOT NULL AND NOT EXISTS (SELECT FROM ${n.events} WHERE position = seen AND commit_id = seen_commit) THEN
    RAISE EXCEPTION '%', seen USING ERRCODE = 'CQ008';
  END IF;
  SELECT head.position, head.commit_id INTO "position", commit_id
  FROM ${n.events} AS head WHERE head.position <= page_end ORDER BY head.position DESC LIMIT 1;
  RETURN NEXT;
  RETURN QUERY
  SELECT NULL::bigint, NULL::bigint, page.position, page.aggregate_type, page.aggregate_id, page.sequence,
    page.event_type, page.event_version, page.payload::text, page.metadata::text, page.recorded_at, page.commit_id, ${isFollowed('page.next')}
  FROM (
    SELECT *, ${bytesBefore}, lead(position) OVER (ORDER BY position) AS next
    FROM ${n.events}
    WHERE position > after AND position <= page_end
      AND (types IS NULL
        OR aggregate_type IN (SELECT json_array_elements_text(types::json))
        OR aggregate_type || '/' || event_type IN (SELECT json_array_elements_text(event_types::json)))
    ORDER BY position LIMIT most
  ) AS page
  WHERE bytes_before < most_bytes
  ORDER BY page.position;
END
$body$;
`

export const hasTrigger = (n: Names): string =>
  `EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('${n.events}') AND tgname = ${n.triggerText})`

/**
 * The id of the sequence, as the signed number that the lock takes.
 *
 * It keeps the locks of two stores, or of a restored copy, apart.
 */
const lockClass = (n: Names): string =>
  `(SELECT (id - CASE WHEN id >= 2147483648 THEN 4294967296 ELSE 0 END)::integer FROM (SELECT '${n.positions}'::regclass::oid::bigint AS id) AS positions)`
