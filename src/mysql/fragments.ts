import { raised } from './error-numbers.ts'
import type { Names } from './names.ts'

/**
 * Start of a procedure: refuses unsuitable session settings of the caller, without changing any.
 */
export const refuseUnfit = `  IF unfit <> '' THEN
    SET unfit = LEFT(unfit, 128);
    SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = ${raised.session}, MESSAGE_TEXT = unfit;
  END IF;
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED;`

/** Start of a block that is stored as a whole or not at all. */
export const startTransaction = `    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
      ROLLBACK AND NO CHAIN NO RELEASE;
      RESIGNAL;
    END;

    START TRANSACTION READ WRITE;`

/**
 * Collation that compares texts by their bytes, including trailing spaces.
 *
 * Each server has its own name for it. Such comments are run by MySQL from 8.0.17 on, or only by
 * MariaDB: https://mariadb.com/kb/en/comment-syntax
 */
export const collation = '/*!80017 utf8mb4_0900_bin */ /*M! utf8mb4_nopad_bin */'

/**
 * Type of the columns that the Rust crate reads.
 *
 * The crate refuses texts with a binary collation (sqlx 0.8:
 * https://github.com/launchbadge/sqlx/issues/3387). This is the next best collation of each server;
 * the crate distinguishes ids by it.
 */
export const sharedText =
  'CHARACTER SET utf8mb4 /*!80017 COLLATE utf8mb4_0900_as_cs */ /*M!101002 COLLATE utf8mb4_uca1400_nopad_as_cs */'

/**
 * Digest of a view's name and an index name. The length keeps different pairs apart.
 *
 * Full names would exceed the size of an InnoDB key.
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
 * A JSON list of objects as rows, numbered from 1 in `nth`.
 *
 * Compare their texts with those of tables by an explicit `COLLATE`, because the collation of a
 * column of `JSON_TABLE` differs between servers.
 */
export function rowsOf(list: string, columns: Readonly<Record<string, keyof typeof kinds>>): string {
  const all = Object.entries(columns).map(([name, kind]) => `${name} ${kinds[kind]} PATH '$.${name}'`)
  return `JSON_TABLE(${list}, '$[*]' COLUMNS (nth FOR ORDINALITY, ${all.join(', ')}))`
}
