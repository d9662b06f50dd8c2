import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { versionsIn, withVersions } from '../../scripts/tested-on.ts'
import { root } from '../run.ts'

const readme = readFileSync(`${root}README.md`, 'utf8')
const versions = versionsIn(readFileSync(`${root}docs/reference/versions.md`, 'utf8'))

test('README has a row for each store that the package exports, with its page and its import', () => {
  const stores = Object.keys(packageJson.exports).filter((subpath) =>
    /^\.\/(memory|sqlite|postgres|mysql|dynamodb)$/.test(subpath),
  )
  expect(stores.length).toBe(5)
  for (const store of stores.map((subpath) => subpath.slice(2)))
    expect(readme).toMatch(
      new RegExp(`^\\| \\[[^\\]]+\\]\\(docs/reference/stores/${store}\\.md\\) \\| \`cqrs-es/${store}\` \\|`, 'm'),
    )
})

test('README names the versions that the tests run on', () => {
  expect(readme).toBe(withVersions(readme, versions))
  expect(withVersions(readme, new Map([...versions, ['MariaDB', '99.1']]))).toContain('MariaDB 99.1')
})

test('a README without the row of a store fails and names its page', () => {
  expect(() => withVersions(readme.replace('stores/mysql.md', 'stores/other.md'), versions)).toThrow(
    'README.md has no row for the page docs/reference/stores/mysql.md',
  )
})
