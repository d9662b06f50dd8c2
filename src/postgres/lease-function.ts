import { checkIsolation } from './fragments.ts'
import type { Names } from './names.ts'

/** Milliseconds that are left of a lease, by the clock of the database. */
export const remainingMs = 'greatest(1, ceil(extract(epoch FROM expires_at - clock_timestamp()) * 1000))'

/**
 * The function that takes a lease and reads its checkpoint, or returns the holder, as JSON.
 *
 * A single statement would not do: the INSERT may wait for a commit that moves the checkpoint, and
 * the statement would then return the checkpoint from before that commit.
 */
export const leaseFunction = (n: Names): string => `
CREATE OR REPLACE FUNCTION ${n.acquireLease}(wanted text, asking text, ttl_ms float8) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
  taken bigint;
  done json;
  held json;
BEGIN
${checkIsolation}
  PERFORM ${n.checkSession}();
  LOOP
    INSERT INTO ${n.leases} AS lease (name, holder, fence, expires_at)
    VALUES (wanted, asking, 1, clock_timestamp() + ttl_ms * interval '1 millisecond')
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at
    WHERE lease.holder IS NULL OR lease.holder = excluded.holder OR lease.expires_at <= clock_timestamp()
    RETURNING lease.fence INTO taken;
    IF taken IS NOT NULL THEN
      SELECT json_build_object('position', position, 'fence', fence) INTO done FROM ${n.checkpoints} WHERE name = wanted;
      RETURN json_build_object('acquired', true, 'fence', taken, 'checkpoint', done);
    END IF;
    SELECT json_build_object('acquired', false, 'holder', holder, 'remainingMs', ${remainingMs}) INTO held
    FROM ${n.leases} WHERE name = wanted AND holder IS NOT NULL;
    -- Repeat: the holder has just released the lease.
    IF held IS NOT NULL THEN
      RETURN held;
    END IF;
  END LOOP;
END
$body$;
`
