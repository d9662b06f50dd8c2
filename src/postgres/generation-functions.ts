import { checkIsolation, generationLock } from './fragments.ts'
import type { Names } from './names.ts'

/**
 * Functions that change the generations of a view, each under the exclusive lock of the view.
 *
 * Commits with rows of the view share that lock: the function waits for those in flight, and later
 * ones see its changes. They are functions because a client can only send one statement.
 */
export const generationFunctions = (n: Names): string => `
CREATE OR REPLACE FUNCTION ${n.addGeneration}(name text, added bigint, version text) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
${checkIsolation}
  PERFORM ${n.checkSession}();
  PERFORM pg_advisory_xact_lock(${generationLock(n, 'name')});
  INSERT INTO ${n.generations} (view_name, generation, view_version, state)
  SELECT name, added, version, CASE WHEN added = 1 THEN 'live' ELSE 'building' END
  WHERE NOT EXISTS (SELECT FROM ${n.generations} WHERE view_name = name AND (generation = added OR added = 1 AND state = 'live'));
  RETURN FOUND;
END
$body$;

CREATE OR REPLACE FUNCTION ${n.switchGeneration}(name text, old bigint, new bigint) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
${checkIsolation}
  PERFORM ${n.checkSession}();
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

CREATE OR REPLACE FUNCTION ${n.removeGeneration}(name text, removed bigint) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
${checkIsolation}
  PERFORM ${n.checkSession}();
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
