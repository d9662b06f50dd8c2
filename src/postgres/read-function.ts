import type { Names } from './names.ts'

/**
 * Kinds of rows that the function returns.
 *
 * They have capitals and spaces, so that a driver that trims texts or changes their case is
 * noticed: it would change ids as well.
 */
export const rowKinds = {
  event: ' Event ',
  snapshot: ' Snapshot ',
  /** The aggregate has more events than the page. */
  more: ' More ',
  /** The page is full: this aggregate and the following ones were not read. */
  full: ' Full ',
} as const

/**
 * The function that reads pages of many aggregates, one after the other, within one limit of bytes.
 *
 * Postgres keeps the plans of a function, so only the short call is planned. As the function is
 * STABLE, all of it sees the same moment: the one at which the call began.
 */
export const readFunction = (n: Names): string => `
CREATE OR REPLACE FUNCTION ${n.read}(wanted text, most_bytes bigint)
RETURNS TABLE (
  nth text, kind text, "position" text, aggregate_type text, aggregate_id text, sequence text,
  event_type text, event_version text, payload text, metadata text, recorded_at text, commit_id text, version text
) STABLE LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
  one record;
  start bigint;
  events integer;
  bytes bigint;
  bytes_left bigint := most_bytes;
BEGIN
  PERFORM ${n.checkSession}();
  FOR one IN
    SELECT * FROM ROWS FROM (json_to_recordset(wanted::json) AS (t text, i text, s bigint, u bigint, l integer, v text))
      WITH ORDINALITY AS list(type, id, after, up_to, most, state_version, place)
  LOOP
    nth := one.place;
    IF bytes_left <= 0 THEN
      kind := '${rowKinds.full}';
      payload := NULL;
      RETURN NEXT;
      RETURN;
    END IF;
    start := one.after;
    IF one.state_version IS NOT NULL THEN
      SELECT '${rowKinds.snapshot}', last_sequence, last_sequence, payload, current_snapshot, pg_column_size(payload),
        (SELECT commit_id FROM ${n.events} WHERE aggregate_type = one.type AND aggregate_id = one.id AND sequence = last_sequence)
      INTO kind, sequence, start, payload, version, bytes, commit_id
      FROM ${n.snapshots}
      WHERE aggregate_type = one.type AND aggregate_id = one.id AND state_version = one.state_version
        AND vouched_sequence = last_sequence AND last_sequence > one.after AND last_sequence <= one.up_to
      ORDER BY last_sequence DESC LIMIT 1;
      IF FOUND THEN
        RETURN NEXT;
        bytes_left := bytes_left - bytes;
      ELSE
        start := one.after;
      END IF;
    END IF;
    kind := '${rowKinds.event}';
    events := 0;
    FOR "position", aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at, commit_id, bytes IN
      SELECT position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at, commit_id,
        pg_column_size(payload) + pg_column_size(metadata)
      FROM ${n.events}
      WHERE aggregate_type = one.type AND aggregate_id = one.id AND sequence > start AND sequence <= one.up_to
      ORDER BY sequence LIMIT one.most + 1
    LOOP
      IF events = one.most OR bytes_left <= 0 AND events > 0 THEN
        kind := '${rowKinds.more}';
        payload := NULL;
        RETURN NEXT;
        EXIT;
      END IF;
      RETURN NEXT;
      events := events + 1;
      bytes_left := bytes_left - bytes;
    END LOOP;
  END LOOP;
END
$body$;
`
