import type { Names } from './names.ts'

/**
 * Raises when settings of the session would change texts or hide rows.
 *
 * A read would otherwise find nothing, without an error. The function reads no table, so it costs microseconds.
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
