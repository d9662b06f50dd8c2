import { raised } from './error-numbers.ts'
import { collation, indexKey, refuseUnfit, rowsOf, startTransaction } from './fragments.ts'
import type { Names } from './names.ts'

/**
 * The procedure that stores a round, or stores nothing and returns the facts.
 *
 * All writers first lock the row of the sequencer. So they run one after another, positions are in
 * commit order, and the checks hold until the transaction ends. The lists are JSON texts, NULL for
 * an empty list.
 *
 * `unfit` names unsuitable session settings of the caller: inside a procedure, some settings are
 * those of its creator.
 *
 * One statement reads the facts, as of one moment, after the locks are released. The result is sent
 * after COMMIT, so that it is final.
 */
export const appendProcedure = (n: Names): string => `
CREATE PROCEDURE ${n.append} (
  IN roots LONGTEXT CHARACTER SET utf8mb4,
  IN events LONGTEXT CHARACTER SET utf8mb4,
  IN event_count BIGINT,
  IN snapshots LONGTEXT CHARACTER SET utf8mb4,
  IN idempotency_keys LONGTEXT CHARACTER SET utf8mb4,
  IN generations LONGTEXT CHARACTER SET utf8mb4,
  IN views LONGTEXT CHARACTER SET utf8mb4,
  IN view_indexes LONGTEXT CHARACTER SET utf8mb4,
  IN checkpoints LONGTEXT CHARACTER SET utf8mb4,
  IN unfit VARCHAR(1000) CHARACTER SET utf8mb4
)
MODIFIES SQL DATA
SQL SECURITY INVOKER
BEGIN
  DECLARE last_position BIGINT;
  DECLARE found_now BIGINT;
  DECLARE in_the_way BIGINT DEFAULT 0;
  DECLARE unplaced BIGINT DEFAULT 0;

${refuseUnfit}

  BEGIN
${startTransaction}
    SELECT s.position INTO last_position FROM ${n.sequencer} AS s WHERE s.id = 1 FOR UPDATE;
    IF last_position IS NULL THEN
      SIGNAL SQLSTATE '42S02' SET MYSQL_ERRNO = 1146, MESSAGE_TEXT = 'the sequencer has no row';
    END IF;

    IF roots IS NOT NULL THEN
      SELECT COUNT(CASE WHEN r.s <> ${lastSequence(n)} OR r.c <> COALESCE(e.commit_id, '') COLLATE ${collation} THEN 1 END),
        COUNT(CASE WHEN e.row_id IS NOT NULL AND e.position IS NULL THEN 1 END)
      INTO found_now, unplaced
      FROM ${rootRows} AS r LEFT JOIN ${n.events} AS e FORCE INDEX (by_aggregate) ON ${sameAggregate} AND e.sequence = r.s;
      SET in_the_way = in_the_way + found_now;
    END IF;

    IF idempotency_keys IS NOT NULL THEN
      SELECT COUNT(*) INTO found_now
      FROM ${keyPlaces} AS r STRAIGHT_JOIN ${n.keys} AS k ON ${sameKey};
      SET in_the_way = in_the_way + found_now;
    END IF;

    IF views IS NOT NULL THEN
      SELECT COUNT(*) INTO found_now
      FROM ${generationRows} AS r
      WHERE NOT EXISTS (SELECT 1 FROM ${n.generations} AS g WHERE ${sameGeneration} AND g.state IN ('live', 'building'))
        AND (r.g <> 1 OR EXISTS (SELECT 1 FROM ${n.generations} AS g WHERE g.view_name = r.n COLLATE ${collation} AND g.state = 'live'));
      SET in_the_way = in_the_way + found_now;

      SELECT COUNT(*) INTO found_now
      FROM ${viewPlaces} AS r LEFT JOIN ${n.views} AS v ON ${sameView}
      WHERE r.f <> COALESCE(v.version, 0);
      SET in_the_way = in_the_way + found_now;
    END IF;

    IF checkpoints IS NOT NULL THEN
      -- A lease that is checked cannot be taken over until this transaction has ended. MySQL refuses to lock the rows of JSON_TABLE.
      SELECT COUNT(*) INTO found_now
      FROM ${checkpointRows} AS r STRAIGHT_JOIN ${n.leases} AS l ON l.name = r.n COLLATE ${collation}
      FOR UPDATE /*!80001 OF l */;

      SELECT COUNT(*) INTO found_now
      FROM ${checkpointRows} AS r
      LEFT JOIN ${n.leases} AS l ON l.name = r.n COLLATE ${collation} AND l.holder IS NOT NULL
      LEFT JOIN ${n.checkpoints} AS c ON c.name = r.n COLLATE ${collation}
      WHERE l.fence IS NULL OR l.fence <> r.f OR c.commit_id = r.c COLLATE ${collation}
        OR r.x = 1 AND NOT (CONVERT(c.position USING utf8mb4) COLLATE ${collation} <=> r.e COLLATE ${collation});
      SET in_the_way = in_the_way + found_now;
    END IF;

    IF in_the_way > 0 THEN
      ROLLBACK AND NO CHAIN NO RELEASE;
    ELSE
      IF events IS NOT NULL THEN
        IF unplaced > 0 THEN
          SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = ${raised.unplaced}, MESSAGE_TEXT = 'the last event of an aggregate has no position';
        END IF;
        INSERT INTO ${n.events} (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, position, recorded_at, commit_id)
        SELECT r.t, r.i, r.s, r.e, r.v, r.d, r.m, last_position + r.nth, r.r, r.c
        FROM ${rowsOf('events', { t: 'name', i: 'name', s: 'number', e: 'text', v: 'text', d: 'text', m: 'text', r: 'text', c: 'name' })} AS r;
        IF ROW_COUNT() <> event_count THEN
          SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = ${raised.notStored}, MESSAGE_TEXT = 'not all events were stored';
        END IF;
        UPDATE ${n.sequencer} SET position = last_position + event_count WHERE id = 1;
      END IF;

      IF snapshots IS NOT NULL THEN
        INSERT INTO ${n.snapshots} (aggregate_type, aggregate_id, last_sequence, current_snapshot, payload, state_version, vouched_sequence)
        SELECT r.t, r.i, r.s, r.n, r.d, r.v, r.s
        FROM ${rowsOf('snapshots', { t: 'name', i: 'name', s: 'number', v: 'text', d: 'text', n: 'number' })} AS r
        ON DUPLICATE KEY UPDATE
          last_sequence = VALUES(last_sequence), current_snapshot = current_snapshot + VALUES(current_snapshot), payload = VALUES(payload),
          state_version = VALUES(state_version), vouched_sequence = VALUES(vouched_sequence);
      END IF;

      IF idempotency_keys IS NOT NULL THEN
        INSERT INTO ${n.keys} (aggregate_type, aggregate_id, idempotency_key, command_hash, commit_id, first_sequence, last_sequence)
        SELECT r.t, r.i, r.k, r.h, r.c, r.f, r.l
        FROM ${rowsOf('idempotency_keys', { t: 'name', i: 'name', k: 'name', h: 'text', c: 'name', f: 'number', l: 'number' })} AS r;
      END IF;

      IF views IS NOT NULL THEN
        INSERT INTO ${n.views} (view_name, generation, view_id, version, payload, sequence)
        SELECT r.n, r.g, r.i, r.v, r.d, r.s
        FROM ${rowsOf('views', { n: 'name', g: 'number', i: 'name', v: 'number', d: 'text', s: 'number' })} AS r
        ON DUPLICATE KEY UPDATE version = VALUES(version), payload = VALUES(payload), sequence = VALUES(sequence);

        DELETE x
        FROM ${viewPlaces} AS r STRAIGHT_JOIN ${n.indexes} AS x
          ON x.view_name = r.n COLLATE ${collation} AND x.generation = r.g AND x.view_id = r.i COLLATE ${collation}
        WHERE r.f > 0;
      END IF;

      IF view_indexes IS NOT NULL THEN
        INSERT INTO ${n.indexes} (index_key, generation, value, view_id, view_name, index_name)
        SELECT ${indexKey('r.n', 'r.x')}, r.g, r.v, r.i, r.n, r.x
        FROM ${rowsOf('view_indexes', { n: 'name', g: 'number', i: 'name', x: 'name', v: 'name' })} AS r;
      END IF;

      IF checkpoints IS NOT NULL THEN
        INSERT INTO ${n.checkpoints} (name, position, fence, commit_id)
        SELECT r.n, r.p, r.f, r.c
        FROM ${checkpointRows} AS r
        ON DUPLICATE KEY UPDATE position = VALUES(position), fence = VALUES(fence), commit_id = VALUES(commit_id);
      END IF;

      COMMIT AND NO CHAIN NO RELEASE;
    END IF;
  END;

  IF in_the_way = 0 THEN
    SELECT 'stored' AS kind, 0 AS nth, last_position AS number, NULL AS text, NULL AS other;
  ELSE
    ${facts(n)};
  END IF;
END`

const rootRows = rowsOf('roots', { t: 'name', i: 'name', s: 'number', c: 'name' })
const keyPlaces = rowsOf('idempotency_keys', { t: 'name', i: 'name', k: 'name' })
const generationRows = rowsOf('generations', { n: 'name', g: 'number' })
const viewPlaces = rowsOf('views', { n: 'name', g: 'number', i: 'name', f: 'number' })
const checkpointRows = rowsOf('checkpoints', { n: 'name', p: 'text', f: 'number', c: 'name', x: 'number', e: 'text' })

const sameAggregate = `e.type_key = r.t COLLATE ${collation} AND e.id_key = r.i COLLATE ${collation}`
const sameKey = `k.aggregate_type = r.t COLLATE ${collation} AND k.aggregate_id = r.i COLLATE ${collation} AND k.idempotency_key = r.k COLLATE ${collation}`
const sameGeneration = `g.view_name = r.n COLLATE ${collation} AND g.generation = r.g`
const sameView = `v.view_name = r.n COLLATE ${collation} AND v.generation = r.g AND v.view_id = r.i COLLATE ${collation}`

/**
 * A column of the last event, read as one row of the index.
 *
 * With `max()`, the server would read all events, because the aggregate is not a constant here.
 */
const ofLast = (n: Names, column: string): string =>
  `(SELECT e.${column} FROM ${n.events} AS e WHERE ${sameAggregate} ORDER BY e.type_key DESC, e.id_key DESC, e.sequence DESC LIMIT 1)`

const lastSequence = (n: Names): string => `COALESCE(${ofLast(n, 'sequence')}, 0)`

const facts = (n: Names): string => `
    SELECT 'found' AS kind, 0 AS nth, NULL AS number, NULL AS text, NULL AS other
    UNION ALL
    SELECT 'head', r.nth, ${lastSequence(n)}, ${ofLast(n, 'commit_id')}, NULL
    FROM ${rootRows} AS r
    UNION ALL
    SELECT 'position', r.nth, e.position, NULL, NULL
    FROM ${rowsOf('events', { t: 'name', i: 'name', s: 'number', c: 'name' })} AS r
    STRAIGHT_JOIN ${n.events} AS e ON ${sameAggregate} AND e.sequence = r.s AND e.commit_id = r.c COLLATE ${collation}
    UNION ALL
    SELECT 'key', r.nth, 1, NULL, NULL
    FROM ${keyPlaces} AS r STRAIGHT_JOIN ${n.keys} AS k ON ${sameKey}
    UNION ALL
    SELECT 'view', r.nth, v.version, NULL, NULL
    FROM ${viewPlaces} AS r STRAIGHT_JOIN ${n.views} AS v ON ${sameView}
    UNION ALL
    SELECT 'generation', r.nth, g.generation, g.state, g.view_version
    FROM ${generationRows} AS r STRAIGHT_JOIN ${n.generations} AS g ON g.view_name = r.n COLLATE ${collation}
    UNION ALL
    SELECT 'fence', r.nth, l.fence, NULL, NULL
    FROM ${checkpointRows} AS r STRAIGHT_JOIN ${n.leases} AS l ON l.name = r.n COLLATE ${collation} AND l.holder IS NOT NULL
    UNION ALL
    SELECT 'checkpoint', r.nth, NULL, c.position, c.commit_id
    FROM ${checkpointRows} AS r STRAIGHT_JOIN ${n.checkpoints} AS c ON c.name = r.n COLLATE ${collation}`
