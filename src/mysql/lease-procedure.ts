import type { Row } from '../sql/columns.ts'
import { toStoredConsumer } from '../sql/rows.ts'
import type { LeaseAnswer } from '../store/consumer.ts'
import { collation, refuseUnfit, startTransaction } from './fragments.ts'
import type { Names } from './names.ts'
import { UnreadableAnswer } from './session.ts'

/** Whole milliseconds that are left of a lease, by the clock of the server. */
export const remainingMs = 'CAST(CEILING(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), l.expires_at) / 1000) AS SIGNED)'

/**
 * The procedure that takes a lease and reads its checkpoint, or returns the holder.
 *
 * It locks the row before it reads, so that it sees what an earlier holder has committed. It first
 * inserts a missing row, with fence 0, which no holder ever gets.
 */
export const leaseProcedure = (n: Names): string => `
CREATE PROCEDURE ${n.acquireLease} (
  IN wanted VARCHAR(256) CHARACTER SET utf8mb4,
  IN asking VARCHAR(256) CHARACTER SET utf8mb4,
  IN ttl_microseconds BIGINT,
  IN unfit VARCHAR(1000) CHARACTER SET utf8mb4
)
MODIFIES SQL DATA
SQL SECURITY INVOKER
BEGIN
  DECLARE is_taken BIGINT;
  DECLARE held_by VARCHAR(256) CHARACTER SET utf8mb4;
  DECLARE held_fence BIGINT;
  DECLARE held_ms BIGINT;
  DECLARE done LONGTEXT CHARACTER SET utf8mb4;
  DECLARE done_fence BIGINT;

${refuseUnfit}

  BEGIN
${startTransaction}
    INSERT INTO ${n.leases} (name, holder, fence, expires_at) VALUES (wanted, NULL, 0, UTC_TIMESTAMP(6))
    ON DUPLICATE KEY UPDATE fence = fence;
    UPDATE ${n.leases} AS l SET l.holder = asking, l.fence = l.fence + 1, l.expires_at = UTC_TIMESTAMP(6) + INTERVAL ttl_microseconds MICROSECOND
    WHERE l.name = wanted COLLATE ${collation}
      AND (l.holder IS NULL OR l.holder = asking COLLATE ${collation} OR l.expires_at <= UTC_TIMESTAMP(6));
    SET is_taken = ROW_COUNT();
    SELECT l.holder, l.fence, ${remainingMs}, c.position, c.fence INTO held_by, held_fence, held_ms, done, done_fence
    FROM ${n.leases} AS l LEFT JOIN ${n.checkpoints} AS c ON c.name = l.name
    WHERE l.name = wanted COLLATE ${collation};
    COMMIT AND NO CHAIN NO RELEASE;
  END;

  SELECT IF(is_taken > 0, 'taken', 'held') AS kind, held_by AS holder, held_fence AS fence, GREATEST(held_ms, 1) AS remaining_ms, done AS position, done_fence AS position_fence;
END`

/** @throws UnreadableAnswer unless the row has the form of the procedure's result */
export function toLeaseAnswer(row: Row | undefined): LeaseAnswer {
  if (row?.kind !== 'taken' && row?.kind !== 'held') throw new UnreadableAnswer()
  const { lease, checkpoint = null } = toStoredConsumer(row)
  if (lease === undefined) throw new UnreadableAnswer()
  if (row.kind === 'taken') return { acquired: true, fence: lease.fence, checkpoint }
  return { acquired: false, holder: lease.holder, remainingMs: lease.remainingMs }
}
