import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import { sqliteStore } from 'cqrs-es/sqlite'

/** The schema of each SQL store, by the page that shows it. */
export const schemaPages: Readonly<Record<string, string>> = {
  'docs/reference/stores/sqlite-schema.md': sqliteStore({ exec: () => {}, prepare: () => ({}) as never }).printSchema(),
  'docs/reference/stores/postgres-schema.md': postgresStore({ query: async () => ({ rows: [] }) }).printSchema(),
  'docs/reference/stores/mysql-schema.md': mysqlStore({
    execute: async () => [],
    getConnection: async () => ({}) as never,
  }).printSchema(),
}

/** The page with this SQL in its fence. @throws Error when the page has no such fence, or several */
export function withSchema(page: string, schema: string): string {
  const parts = page.split(/^```sql\n[\s\S]*?^```$/m)
  const [before, after] = parts
  if (before === undefined || after === undefined || parts.length > 2) throw new Error('A schema page has one sql fence.')
  return `${before}\`\`\`sql\n${schema}${schema.endsWith('\n') ? '' : '\n'}\`\`\`${after}`
}
