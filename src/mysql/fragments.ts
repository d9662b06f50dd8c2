import { raised } from './error-numbers.ts'
import type { Names } from './names.ts'

/**
 * How a procedure begins. Its parameter `unfit` says what does not fit of the caller's settings;
 * none is changed for the caller.
 */
export const refuseUnfit = `  IF unfit <> '' THEN
    SET unfit = LEFT(unfit, 128);
    SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = ${raised.session}, MESSAGE_TEXT = unfit;
  END IF;
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;`

/** Begins the block of a procedure that is stored as a whole or not at all. */
export const startTransaction = `    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
      ROLLBACK AND NO CHAIN NO RELEASE;
      RESIGNAL;
    END;

    START TRANSACTION READ WRITE;`

/**
 * Texts that are compared by their bytes, spaces at the end included. Each server has its own name
 * for that; a comment of this form is run by MySQL from 8.0.17 on, or by MariaDB, and by nobody
 * else: https://mariadb.com/kb/en/comment-syntax
 */
export const collation = '/*!80017 utf8mb4_0900_bin */ /*M! utf8mb4_nopad_bin */'

/**
 * Of the columns that the Rust crate reads: it refuses texts with a collation by bytes (sqlx 0.8:
 * https://github.com/launchbadge/sqlx/issues/3387). The next best that the server has, since that
 * is how the crate tells ids apart.
 */
export const sharedText =
  'CHARACTER SET utf8mb4 /*!80017 COLLATE utf8mb4_0900_as_cs */ /*M!101002 COLLATE utf8mb4_uca1400_nopad_as_cs */'

/**
 * Entries of one index of one view: a digest, since the two names in full would make a key longer
 * than InnoDB takes. The length keeps them apart.
 */
export const indexKey = (view: string, index: string): string =>
  `UNHEX(SHA2(CONCAT(CHAR_LENGTH(${view}), ':', ${view}, ${index}), 256))`

export const liveGeneration = (n: Names, view: string): string =>
  `COALESCE((SELECT live.generation FROM ${n.generations} AS live WHERE live.view_name = ${view} AND live.state = 'live' LIMIT 1), 1)`

const kinds = {
  name: 'VARCHAR(256) CHARACTER SET utf8mb4',
  text: 'LONGTEXT CHARACTER SET utf8mb4',
  number: 'BIGINT',
}

/**
 * A JSON list of objects as rows, numbered from 1 in `nth`. Texts inside are compared with those of
 * tables by an explicit `COLLATE`: what a column of `JSON_TABLE` has by itself differs between the
 * servers.
 */
export function rowsOf(list: string, columns: Readonly<Record<string, keyof typeof kinds>>): string {
  const all = Object.entries(columns).map(([name, kind]) => `${name} ${kinds[kind]} PATH '$.${name}'`)
  return `JSON_TABLE(${list}, '$[*]' COLUMNS (nth FOR ORDINALITY, ${all.join(', ')}))`
}
