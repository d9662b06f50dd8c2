import type { MysqlServerName } from './mysql-database.ts'

export type Case = readonly [setting: string, only?: MysqlServerName]

export const harmless: readonly Case[] = [
  ["sql_mode = ''"],
  ["sql_mode = 'ANSI'"],
  ["sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'"],
  ["sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'"],
  ["sql_mode = 'TRADITIONAL,ONLY_FULL_GROUP_BY,NO_UNSIGNED_SUBTRACTION'"],
  ["sql_mode = 'REAL_AS_FLOAT,HIGH_NOT_PRECEDENCE,IGNORE_SPACE'"],
  ["sql_mode = 'NO_ZERO_DATE,NO_ZERO_IN_DATE,ALLOW_INVALID_DATES'"],
  ["sql_mode = 'NO_AUTO_VALUE_ON_ZERO,NO_DIR_IN_CREATE'"],
  ["sql_mode = 'TIME_TRUNCATE_FRACTIONAL'", 'mysql'],
  ["sql_mode = 'ORACLE'", 'mariadb'],
  ["sql_mode = 'MSSQL'", 'mariadb'],
  ["sql_mode = 'DB2'", 'mariadb'],
  ["sql_mode = 'SIMULTANEOUS_ASSIGNMENT'", 'mariadb'],
  ["sql_mode = 'TIME_ROUND_FRACTIONAL'", 'mariadb'],
  ["old_mode = 'NO_DUP_KEY_WARNINGS_WITH_IGNORE,ZERO_DATE_TIME_CAST'", 'mariadb'],
  ["old_mode = ''", 'mariadb'],
  ['SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED'],
  ['SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ'],
  ['SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE'],
  ['collation_connection = utf8mb4_bin'],
  ['collation_connection = utf8mb4_general_ci'],
  ['character_set_results = NULL'],
  ['character_set_filesystem = latin1'],
  ['default_collation_for_utf8mb4 = utf8mb4_general_ci', 'mysql'],
  ['sql_auto_is_null = 1'],
  ['sql_select_limit = 0'],
  ['sql_select_limit = 1'],
  ['group_concat_max_len = 4'],
  ['max_sort_length = 8'],
  ['max_error_count = 0'],
  ["time_zone = '+13:00'"],
  ['div_precision_increment = 0'],
  ['default_week_format = 3'],
  ['foreign_key_checks = 0'],
  ['innodb_lock_wait_timeout = 1'],
  ['lock_wait_timeout = 1'],
  ['innodb_strict_mode = 0'],
  ['max_execution_time = 60000', 'mysql'],
  ['max_statement_time = 60', 'mariadb'],
  ['low_priority_updates = 1'],
  ['sql_log_bin = 0'],
  ['sql_buffer_result = 1'],
  ['sql_notes = 0'],
  ['auto_increment_increment = 7, auto_increment_offset = 3'],
  ['default_storage_engine = MyISAM'],
  ['join_cache_level = 8', 'mariadb'],
  [
    "optimizer_switch = 'derived_merge=off,index_condition_pushdown=off,mrr=on,mrr_cost_based=off,batched_key_access=on'",
    'mysql',
  ],
  [
    "optimizer_switch = 'derived_merge=off,derived_with_keys=off,mrr=on,join_cache_hashed=on,optimize_join_buffer_size=on'",
    'mariadb',
  ],
]

export const refused: readonly (readonly [setting: string, says: RegExp, only?: MysqlServerName])[] = [
  ['autocommit = 0', /: autocommit = (0|OFF)\./],
  ['NAMES latin1', /character_set_client = latin1, character_set_connection = latin1, character_set_results = latin1/],
  ['NAMES utf8mb3', /character_set_client = utf8mb3, character_set_connection = utf8mb3/],
  ['collation_connection = utf8mb3_unicode_ci', /: character_set_connection = utf8mb3\./],
  ['collation_connection = latin1_swedish_ci', /: character_set_connection = latin1\./],
  ['character_set_connection = binary', /: character_set_connection = binary\./],
  ['character_set_client = latin1', /: character_set_client = latin1\./],
  ['character_set_results = latin1', /: character_set_results = latin1\./],
  ['character_set_results = binary', /: character_set_results = binary\./],
  ['SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED', /: transaction_isolation = READ-UNCOMMITTED\./],
  ['sql_safe_updates = 1', /: sql_safe_updates = (1|ON)\./],
  ['unique_checks = 0', /: unique_checks = (0|OFF)\./],
  ["sql_mode = 'EMPTY_STRING_IS_NULL'", /: sql_mode = EMPTY_STRING_IS_NULL\./, 'mariadb'],
]

/** Harmless on mysql2. The driver mariadb sends a ROLLBACK by itself when it takes back a connection. */
export const chaining = ['completion_type = CHAIN', 'completion_type = RELEASE']

/** Some steps do, some do not; those that do not say why. */
export const either: readonly (readonly [setting: string, says: RegExp])[] = [
  ['SESSION TRANSACTION READ ONLY', /transaction_read_only/],
  ['max_join_size = 1', /MAX_JOIN_SIZE/i],
]
