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

CREATE SCHEMA IF NOT EXISTS ${n.schema};

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

/**
 * Positions are drawn before their transaction commits, so a higher one can be visible while a lower one is under way. Therefore each writer holds, to the end of its
 * transaction, a shared advisory lock that says: all I draw is above this. A reader goes no further than the lowest of those. Nobody waits for anybody.
 *
 * The reader's three looks must come in this order and each with a fresh snapshot: the last position drawn, the locks, the rows. Who held no lock at the second
 * look either had drawn nothing at the first, or has ended and is seen by the third. In one statement, or in a transaction that keeps its snapshot, events are missed.
 */
const horizonFunctions = (n: Names): string => `
CREATE FUNCTION ${n.lockHorizon}() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
  last bigint;
BEGIN
  SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO last FROM ${n.positions};
  PERFORM pg_advisory_xact_lock_shared(${lockClass(n)}, (last % 2147483648)::integer);
  RETURN NULL;
END
$body$;

CREATE TRIGGER ${n.trigger} BEFORE INSERT ON ${n.events}
FOR EACH STATEMENT EXECUTE FUNCTION ${n.lockHorizon}();

-- Also on a subscriber of logical replication, and for a session that has switched triggers off.
ALTER TABLE ${n.events} ENABLE ALWAYS TRIGGER ${n.trigger};

CREATE FUNCTION ${n.horizon}(OUT last bigint, OUT horizon bigint) LANGUAGE plpgsql AS $body$
DECLARE
  behind bigint;
BEGIN
${checkIsolation}
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION 'the log cannot be read in order on a standby server' USING ERRCODE = 'CQ002';
  END IF;
  SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO last FROM ${n.positions};
  -- Locks are kept modulo 2^31; one that seems to be further behind than half of that was taken after the last position was read.
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

CREATE FUNCTION ${n.feed}(after bigint, types text, event_types text, reach bigint, most integer, most_bytes bigint)
RETURNS TABLE (
  log_end bigint, page_end bigint, "position" bigint, aggregate_type text, aggregate_id text, sequence bigint,
  event_type text, event_version text, payload text, metadata text, recorded_at text, commit_id text, followed boolean
) LANGUAGE plpgsql AS $body$
#variable_conflict use_column
BEGIN
  SELECT last, least(horizon, after + reach) INTO log_end, page_end FROM ${n.horizon}();
  RETURN NEXT;
  RETURN QUERY
  SELECT NULL::bigint, NULL::bigint, page.position, page.aggregate_type, page.aggregate_id, page.sequence,
    page.event_type, page.event_version, page.payload::text, page.metadata::text, page.recorded_at, page.commit_id, page.next IS NOT NULL
  FROM (
    SELECT *, ${bytesBefore('position')}, lead(position) OVER (ORDER BY position) AS next
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

/**
 * The bytes of the events ahead of each in a page, so that a page of large events ends early. As they are kept, which may be compressed: that costs no look at them.
 */
export const bytesBefore = (order: 'sequence' | 'position'): string =>
  `sum(pg_column_size(payload)) OVER (ORDER BY ${order}) - pg_column_size(payload) AS bytes_before`

/**
 * Each takes the lock of its view alone, which commits with rows of the view share: it waits for those under way, and later ones see what it did. A change of
 * several rows needs a function, since a client can only send one statement.
 */
const generationFunctions = (n: Names): string => `
CREATE FUNCTION ${n.addGeneration}(name text, added bigint, version text) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
${checkIsolation}
  PERFORM pg_advisory_xact_lock(${generationLock(n, 'name')});
  INSERT INTO ${n.generations} (view_name, generation, view_version, state)
  SELECT name, added, version, CASE WHEN added = 1 THEN 'live' ELSE 'building' END
  WHERE NOT EXISTS (SELECT FROM ${n.generations} WHERE view_name = name AND (generation = added OR added = 1 AND state = 'live'));
  RETURN FOUND;
END
$body$;

CREATE FUNCTION ${n.switchGeneration}(name text, old bigint, new bigint) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
${checkIsolation}
  PERFORM pg_advisory_xact_lock(${generationLock(n, 'name')});
  IF old <> coalesce((SELECT generation FROM ${n.generations} WHERE view_name = name AND state = 'live'), 1)
    OR NOT EXISTS (SELECT FROM ${n.generations} WHERE view_name = name AND generation = new AND state = 'building')
  THEN
    RETURN false;
  END IF;
  UPDATE ${n.generations} SET state = CASE WHEN generation = new THEN 'live' ELSE 'retired' END
  WHERE view_name = name AND generation IN (old, new);
  RETURN true;
END
$body$;

CREATE FUNCTION ${n.removeGeneration}(name text, removed bigint) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
${checkIsolation}
  PERFORM pg_advisory_xact_lock(${generationLock(n, 'name')});
  IF removed = coalesce((SELECT generation FROM ${n.generations} WHERE view_name = name AND state = 'live'), 1) THEN
    RETURN false;
  END IF;
  DELETE FROM ${n.indexes} WHERE view_name = name AND generation = removed;
  DELETE FROM ${n.views} WHERE view_name = name AND generation = removed;
  DELETE FROM ${n.generations} WHERE view_name = name AND generation = removed;
  RETURN true;
END
$body$;
`

const generationLock = (n: Names, view: string): string => `hashtextextended(${n.generationLock} || ${view}, 0)`

/** The sequence's own id, so that the locks of two stores, or of a restored copy, are never mixed up. As a signed number, since that is what the lock takes. */
const lockClass = (n: Names): string =>
  `(SELECT (id - CASE WHEN id >= 2147483648 THEN 4294967296 ELSE 0 END)::integer FROM (SELECT '${n.positions}'::regclass::oid::bigint AS id) AS positions)`

/** A transaction with one snapshot for all its statements would check on what is no longer so. */
const checkIsolation = `  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transactions of this connection are %', current_setting('transaction_isolation') USING ERRCODE = 'CQ001';
  END IF;`

/** What an index is known by: its view and its own name, so joined that no two pairs are the same. */
export const indexKey = (view: string, index: string): string =>
  `sha256(convert_to(length(${view}) || ':' || ${view} || ${index}, 'UTF8'))`

const rootsOf = `json_to_recordset(roots::json) AS root(t text, i text, s bigint)`
const keysOf = `json_to_recordset(keys::json) AS key(t text, i text, k text, h text, c text, f bigint, l bigint)`
const viewsOf = `json_to_recordset(views::json) AS view(n text, g bigint, i text, f bigint, v bigint, d json, s bigint)`
const indexesOf = `json_to_recordset(indexes::json) AS entry(n text, g bigint, i text, x text, v text)`
const checkpointsOf = `json_to_recordset(checkpoints::json) AS moved(n text, p text, f bigint, c text, e json)`
const snapshotsOf = `json_to_recordset(snapshots::json) AS state(t text, i text, s bigint, v text, d json, n bigint)`

/** The rows of a list with their places in it. */
const numbered = (list: string, columns: string, alias: string): string =>
  `ROWS FROM (json_to_recordset(${list}::json) AS (${columns})) WITH ORDINALITY AS ${alias}`

/**
 * Stores a round (src/sql/round.ts) or answers the facts (src/sql/decide.ts). Parameters are lists of rows as JSON, NULL for an empty one. All is checked first; then
 * rows are written table by table in the order of their keys, so that two rounds never wait for each other in a circle. What changes between check and
 * write is caught by the keys and by the count of rows.
 */
const appendFunction = (n: Names): string => `
CREATE FUNCTION ${n.append}(
  roots text, events text, event_count integer, snapshots text, keys text, generations text, views text, indexes text, checkpoints text
) RETURNS text LANGUAGE plpgsql
-- Postgres takes each list for a hundred rows, and would read all of a table that is not much larger.
SET enable_seqscan TO off SET enable_hashjoin TO off SET enable_mergejoin TO off
AS $body$
DECLARE
  free boolean := true;
  positions json := '[]';
  written bigint;
  inserted bigint;
  refused text;
BEGIN
${checkIsolation}

  -- A generation cannot be switched, nor a lease taken over, nor another commit move the same checkpoint, until this transaction has ended.
  IF generations IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock_shared(${generationLock(n, 'n')})
    FROM (SELECT DISTINCT n COLLATE "C" AS n FROM json_to_recordset(generations::json) AS generation(n text) ORDER BY 1) AS names;
  END IF;
  IF checkpoints IS NOT NULL THEN
    PERFORM FROM ${n.leases} WHERE name IN (SELECT n FROM ${checkpointsOf}) ORDER BY name FOR NO KEY UPDATE;
  END IF;

  -- One look for each list that is there: Postgres prepares all of an expression, also the parts that it skips.
  IF roots IS NOT NULL THEN
    free := NOT EXISTS (
      SELECT FROM ${rootsOf}
      WHERE s <> coalesce((SELECT max(sequence) FROM ${n.events} WHERE aggregate_type = t AND aggregate_id = i), 0)
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
    IF events IS NOT NULL THEN
      -- Positions are drawn in list order, and not before the trigger has its lock: the list is read by the INSERT alone.
      WITH drawn AS MATERIALIZED (
        SELECT nextval('${n.positions}') AS position, event.*
        FROM json_to_recordset(events::json) AS event(t text, i text, s bigint, e text, v text, d json, m json, r text, c text)
      ), stored AS (
        INSERT INTO ${n.events}
          (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at, commit_id)
        SELECT position, t, i, s, e, v, coalesce(d, 'null'), m, r, c FROM drawn ORDER BY t COLLATE "C", i COLLATE "C", s
        RETURNING position
      )
      SELECT count(*), json_agg(position::text ORDER BY position) INTO written, positions FROM stored;
      IF written <> event_count THEN
        RAISE EXCEPTION '% of % events were left out', event_count - written, event_count USING ERRCODE = 'CQ003';
      END IF;
    END IF;

    IF snapshots IS NOT NULL THEN
      -- The Rust crate may have left several rows of one aggregate.
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
    'sequences', coalesce((
      SELECT json_agg(coalesce((SELECT max(sequence) FROM ${n.events} WHERE aggregate_type = t AND aggregate_id = i), 0) ORDER BY nth)
      FROM ${numbered('roots', 't text, i text, s bigint', 'root(t, i, s, nth)')}), '[]'),
    'positions', coalesce((
      SELECT json_agg((SELECT position::text FROM ${n.events} WHERE aggregate_type = t AND aggregate_id = i AND sequence = s AND commit_id = c) ORDER BY nth)
      FROM ${numbered('events', 't text, i text, s bigint, c text', 'event(t, i, s, c, nth)')}), '[]'),
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
