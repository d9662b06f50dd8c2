import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** @typedef {{ readonly [key: string]: Json } | readonly Json[] | string | number | boolean | null} Json */

/**
 * The files of a project by path. Layers complement each other: objects of JSON are merged, texts are appended.
 *
 * @param {string} name
 * @param {string} store
 * @param {string} run
 */
export function projectOf(name, store, run) {
  /** @type {Map<string, string>} */
  const files = new Map()
  for (const layer of ['base', store, run])
    for (const [path, text] of filesIn(fileURLToPath(new URL(`templates/${layer}`, import.meta.url)))) {
      const before = files.get(path)
      files.set(path, before === undefined ? text : path.endsWith('.json') ? mergeTexts(before, text) : `${before}\n${text}`)
    }
  const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'))
  const own = JSON.stringify({ name, dependencies: { 'cqrs-es': `^${version}` } })
  files.set('package.json', sorted(mergeTexts(files.get('package.json') ?? '{}', own)))
  files.set('README.md', (files.get('README.md') ?? '').replace('# my-app', `# ${name}`))
  return files
}

/** @param {string} folder */
function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = join(entry.parentPath, entry.name)
      // npm packs no file of this name.
      const path = relative(folder, file)
        .replaceAll('\\', '/')
        .replace(/^gitignore$/, '.gitignore')
      return /** @type {const} */ ([path, readFileSync(file, 'utf8')])
    })
}

/**
 * @param {string} first
 * @param {string} second
 */
const mergeTexts = (first, second) => textOf(merge(JSON.parse(first), JSON.parse(second)))

/**
 * @param {Json | undefined} first
 * @param {Json} second
 * @returns {Json}
 */
function merge(first, second) {
  if (!isObject(first) || !isObject(second)) return second
  const merged = Object.entries(second).map(([key, value]) => [key, merge(first[key], value)])
  return { ...first, ...Object.fromEntries(merged) }
}

/**
 * Sorts dependencies as npm does, so that the next `npm install` changes nothing else.
 *
 * @param {string} manifest
 */
function sorted(manifest) {
  const sort = (/** @type {object} */ entries) =>
    Object.fromEntries(Object.entries(entries).sort(([a], [b]) => a.localeCompare(b, 'en')))
  const { dependencies, devDependencies, ...rest } = JSON.parse(manifest)
  return textOf({ ...rest, dependencies: sort(dependencies), devDependencies: sort(devDependencies) })
}

/** @param {Json} value */
const textOf = (value) => `${JSON.stringify(value, null, 2)}\n`

/**
 * @param {Json | undefined} value
 * @returns {value is { readonly [key: string]: Json }}
 */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
