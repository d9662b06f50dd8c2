/** Rows of docs/reference/versions.md: a part of the tests and its version. */
export function versionsIn(page: string): ReadonlyMap<string, string> {
  const rows = [...page.matchAll(/^\| (.+?) \| (.+?) \|$/gm)].slice(2)
  return new Map(rows.map(([, name = '', version = '']) => [name, version]))
}

/** Last column of the table of stores in README, by the page of the store. */
const parts: Readonly<Record<string, readonly (readonly [name: string, part: string])[]>> = {
  sqlite: [
    ['libsql: SQLite', 'SQLite in libsql'],
    ['node:sqlite:', 'SQLite in node:sqlite'],
    ['bun:sqlite:', 'SQLite in bun:sqlite'],
  ],
  postgres: [
    ['Postgres', 'Postgres (oldest)'],
    ['Postgres', 'Postgres (newest)'],
    ['PGlite', 'PGlite'],
  ],
  mysql: [
    ['MySQL', 'MySQL'],
    ['MariaDB', 'MariaDB'],
  ],
  dynamodb: [
    ['DynamoDB Local', 'DynamoDB Local'],
    ['dynoxide', 'DynamoDB emulator dynoxide'],
  ],
}

/** Returns README with the tested versions in its table of stores. */
export function withVersions(readme: string, versions: ReadonlyMap<string, string>): string {
  return Object.entries(parts).reduce((text, [store, named]) => {
    const cell = named.map(([name, part]) => `${name} ${versions.get(part)?.replace(/ \(.*/, '')}`).join(', ')
    const row = new RegExp(`^(\\| \\[[^\\]]+\\]\\(docs/reference/stores/${store}\\.md\\) (?:\\|[^|\\n]*){2})\\|[^|\\n]*\\|$`, 'm')
    if (!row.test(text)) throw new Error(`README.md has no row for the page docs/reference/stores/${store}.md`)
    return text.replace(row, `$1| ${cell} |`)
  }, readme)
}
