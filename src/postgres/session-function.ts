import type { Names } from './names.ts'

/**
 * The function that fails if session settings would change texts or hide rows.
 *
 * Without it, such a read would find nothing and report no error. It reads no table, so it takes
 * microseconds.
 */
export const sessionFunction = (n: Names): string => `
CREATE OR REPLACE FUNCTION ${n.checkSession}() RETURNS boolean STABLE LANGUAGE plpgsql AS $body$
BEGIN
  IF current_setting('client_encoding') NOT IN ('UTF8', 'SQL_ASCII') THEN
    RAISE EXCEPTION 'client_encoding is %', current_setting('client_encoding') USING ERRCODE = 'CQ005';
  END IF;
  IF ${tablesOf(n)
    .map((table) => `row_security_active('${table}')`)
    .join(' OR ')}
  THEN
    RAISE EXCEPTION 'row-level security applies to %', current_user USING ERRCODE = 'CQ006';
  END IF;
  RETURN true;
END
$body$;
`

const tablesOf = (n: Names): readonly string[] => [
  n.events,
  n.snapshots,
  n.keys,
  n.views,
  n.indexes,
  n.generations,
  n.checkpoints,
  n.leases,
]
