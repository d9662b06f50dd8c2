import type { Mutation } from './mutation.ts'

const mysqlRefused =
  'test/stores/mysql-settings.test.ts › the session setting %s is refused by reads and writes, and nothing is stored'
const mysqlHarmless = 'test/stores/mysql-settings.test.ts › the session setting %s changes no result'
const sqliteHarmless = 'test/stores/sqlite-settings.test.ts › the setting %s changes no result'

/** What a setting of the user's connection, its driver or its administrator could do to a statement or an answer. */
export const connections: readonly Mutation[] = [
  {
    breaks: 'MySQL turns texts into question marks',
    file: 'src/mysql/session.ts',
    find: `"@@character_set_connection = 'utf8mb4'"`,
    put: "'TRUE'",
    test: mysqlRefused,
  },
  {
    breaks: 'MySQL reads an old state for ever',
    file: 'src/mysql/session.ts',
    find: "'@@autocommit = 1'",
    put: "'TRUE'",
    test: mysqlRefused,
  },
  {
    breaks: 'MySQL answers in another character set',
    file: 'src/mysql/session.ts',
    find: `"COALESCE(@@character_set_results, 'utf8mb4') = 'utf8mb4'"`,
    put: "'TRUE'",
    test: mysqlRefused,
  },
  {
    breaks: 'MySQL reads what may be rolled back',
    file: 'src/mysql/session.ts',
    find: `\`\${isolation} <> 'READ-UNCOMMITTED'\``,
    put: "'TRUE'",
    test: mysqlRefused,
  },
  {
    breaks: 'MySQL leaves out rows beyond sql_select_limit',
    file: 'src/mysql/session.ts',
    find: "'LIMIT 9223372036854775807'",
    put: "''",
    test: mysqlHarmless,
  },
  {
    breaks: 'MySQL leaves a chained transaction unnamed',
    file: 'src/mysql/session.ts',
    find: '"@@completion_type <> \'NO_CHAIN\'"',
    put: "'FALSE'",
    test: "test/stores/mysql-settings.test.ts › completion_type = CHAIN is named when mariadb's ROLLBACK leaves a transaction open",
  },
  {
    breaks: 'mysql2 casts values as its pool says',
    file: 'src/mysql/connection.ts',
    find: '{ typeCast: true, disableEval: true }',
    put: '{ typeCast: undefined }',
    test: 'test/stores/mysql-settings.test.ts › mysql2 with %s changes no result',
  },
  {
    breaks: 'an unreadable answer of MySQL is an empty page',
    file: 'src/mysql/session.ts',
    find: "if (session !== '') throw new UnreadableAnswer()",
    put: '',
    test: 'test/stores/mysql-settings.test.ts › a read answered with %s is an error, never an empty page',
  },
  {
    breaks: 'Postgres reads in another encoding',
    file: 'src/postgres/session-function.ts',
    find: "NOT IN ('UTF8', 'SQL_ASCII')",
    put: 'IS NULL',
    test: 'test/stores/postgres-settings.test.ts › client_encoding = %s is refused by every call',
  },
  {
    breaks: 'row-level security hides rows of Postgres',
    file: 'src/postgres/session-function.ts',
    find: "    .join(' OR ')}",
    put: "    .join(' AND ')}",
    test: 'test/stores/postgres-settings.test.ts › row-level security on %s is refused by every call',
  },
  {
    breaks: 'a trigger of Postgres may be disabled',
    file: 'src/postgres/horizon-functions.ts',
    find: "    RAISE EXCEPTION '%', altered USING ERRCODE = 'CQ007';",
    put: '    NULL;',
    test: 'test/stores/postgres-settings.test.ts › readers of the log refuse a schema in which %s',
  },
  {
    breaks: 'SQLite writes without a journal',
    file: 'src/sqlite/connection.ts',
    find: "if (mode !== 'off' && (mode !== 'memory' || !this.#isFile())) return",
    put: 'if (mode !== undefined) return',
    test: 'test/stores/sqlite-settings.test.ts › journal_mode = %s is refused by writes and named',
  },
  {
    breaks: 'the encoding of SQLite is not looked at',
    file: 'src/sqlite/connection.ts',
    find: "if (encoding !== 'UTF-8')",
    put: "if (encoding === '')",
    test: 'test/stores/sqlite-settings.test.ts › a file in UTF-16 is refused by reads and writes, also with a printed schema',
  },
  {
    breaks: 'full names of columns of SQLite are read as they are',
    file: 'src/sqlite/connection.ts',
    find: "!Object.keys(first).some((name) => name.includes('.'))",
    put: 'Object.keys(first).length > 0',
    test: sqliteHarmless,
  },
  {
    breaks: 'SQLite does not name count_changes',
    file: 'src/sqlite/connection.ts',
    find: 'if (mayCountChanges(error) && this.#countsChanges()) throw countsChanges(error)',
    put: '',
    test: 'test/stores/sqlite-settings.test.ts › count_changes is refused by writes and named',
  },
  {
    breaks: 'our snapshots lie in the table of the Rust crate',
    file: 'src/sql/names.ts',
    find: "snapshots: 'state_snapshots',",
    put: "snapshots: 'snapshots',",
    test: 'test/stores/crate-snapshots.test.ts › execute leaves the snapshots of the crate as they are (%s)',
    on: 'postgres',
  },
  {
    breaks: 'our snapshots lie in the table of the Rust crate on DynamoDB',
    file: 'src/dynamodb/schema.ts',
    find: "tables.snapshots ?? 'StateSnapshots'",
    put: "tables.snapshots ?? 'Snapshots'",
    test: 'test/stores/crate-snapshots.test.ts › execute leaves the snapshots of the crate as they are (%s)',
    on: 'dynamodb',
  },
  {
    breaks: 'aggregates that the crate creates later are not listed',
    file: 'src/dynamodb/read.ts',
    find: 'if (request.after === undefined && (await hasForeignWriters(connection))) await addFirstEvents(connection)',
    put: '',
    test: 'test/stores/dynamodb-adoption.test.ts › readIds lists aggregates of the crate in byte order, in pages of %i',
  },
  {
    breaks: 'a drain on DynamoDB misses aggregates of the crate',
    file: 'src/dynamodb/read.ts',
    find: 'if (request.after === undefined && (await hasForeignWriters(connection))) await addFirstEvents(connection)',
    put: '',
    test: 'test/stores/dynamodb-adoption.test.ts › drain brings aggregates of the crate into a view before it is caught up',
  },
  {
    breaks: 'createSchema on DynamoDB adds no aggregates of the crate',
    file: 'src/dynamodb/first-events.ts',
    find: 'if (connection.foreignWriters || noted) await addFirstEvents(connection)',
    put: '',
    test: 'test/stores/dynamodb-adoption.test.ts › foreignWriters: false ends the scans of the table after a last createSchema()',
  },
]
