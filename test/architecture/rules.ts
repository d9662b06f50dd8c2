import type { Module } from './modules.ts'

const stores = ['memory', 'sqlite', 'postgres', 'mysql', 'dynamodb']
const outerFolders = ['testing', 'conformance', 'http', 'lambda', 'messaging']
const foundations = ['errors.ts', 'event-envelope.ts', 'util/options.ts', 'util/refusing.ts', 'util/lru-map.ts']

/** Where modules of one part may import from, besides their own folder. Parts not named here are the core. */
const allowed: Readonly<Record<string, (target: string) => boolean>> = {
  ...Object.fromEntries(stores.map((store) => [store, only('store', 'sql', ...foundations)])),
  util: only('errors.ts', 'event-envelope.ts'),
  store: only(...foundations),
  sql: only('store', ...foundations),
  conformance: only('store', ...foundations),
  testing: (target) => ![...stores, 'sql', 'conformance', 'http', 'lambda', 'messaging'].includes(partOf(target)),
  http: (target) => ![...stores, 'sql', 'testing', 'conformance', 'lambda', 'messaging'].includes(partOf(target)),
  lambda: (target) =>
    target === 'dynamodb/changes.ts' ||
    ![...stores, 'sql', 'testing', 'conformance', 'http', 'messaging'].includes(partOf(target)),
  messaging: (target) => ![...stores, 'sql', 'testing', 'conformance', 'http', 'lambda'].includes(partOf(target)),
}
const allowedInCore = (target: string) => ![...stores, 'sql', ...outerFolders].includes(partOf(target))

/** Imports that go the wrong way: `stores -> store port <- core`, and `testing`, `http`, `lambda` -> core. `lambda` also reads what a stream tells. */
export function wrongWays(modules: readonly Module[]): string[] {
  return eachImport(modules, ({ path }, { target }) => {
    if (target === undefined) return undefined
    if (target.startsWith('..')) return 'leaves src'
    if (partOf(target) === partOf(path) && path.includes('/')) return undefined
    const fine = allowed[partOf(path)] ?? allowedInCore
    return fine(target) ? undefined : `${partOf(path)} must not depend on ${partOf(target)}`
  })
}

/** Imports of an `index.ts`: those are for outsiders only. */
export function importsOfIndexes(modules: readonly Module[]): string[] {
  return eachImport(modules, ({ path }, { target }) =>
    target !== undefined && /(^|\/)index\.ts$/.test(target) && path !== 'index.ts'
      ? 'index.ts files are for outsiders only'
      : undefined,
  )
}

/** Imports of packages, and of Node's modules where those have no place. */
export function foreignImports(modules: readonly Module[]): string[] {
  return eachImport(modules, ({ path }, { specifier, target }) => {
    if (target !== undefined) return undefined
    if (!specifier.startsWith('node:')) return 'the package depends on nothing'
    return ['sqlite', 'testing'].includes(partOf(path)) ? undefined : 'only src/sqlite and src/testing may import from Node'
  })
}

/** Relative imports of files that are not there, or that are written without the `.ts`. */
export function danglingImports(modules: readonly Module[]): string[] {
  const paths = new Set(modules.map((module) => module.path))
  return eachImport(modules, (_, { target }) => (target === undefined || paths.has(target) ? undefined : 'no such module'))
}

/** Import cycles, each once, as `a -> b -> a`. With `typesToo`, those that only types close are counted as well. */
export function cycles(modules: readonly Module[], { typesToo }: { readonly typesToo: boolean }): string[] {
  const targets = new Map(
    modules.map(({ path, imports }) => [
      path,
      imports.filter((i) => typesToo || !i.typeOnly).flatMap((i) => (i.target === undefined ? [] : [i.target])),
    ]),
  )
  const found = new Set<string>()
  const done = new Set<string>()
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      found.add(describeCycle(trail.slice(start)))
      return
    }
    if (done.has(path)) return
    for (const target of targets.get(path) ?? []) walk(target, [...trail, path])
    done.add(path)
  }
  for (const path of targets.keys()) walk(path, [])
  return [...found]
}

/** Folders with an `index.ts` that `exports` of package.json forgets, and exports without such a folder. */
export function exportMismatches(modules: readonly Module[], exports: readonly string[]): string[] {
  const public_ = modules.map(({ path }) => /^(?:([^/]+)\/)?index\.ts$/.exec(path)).filter((match) => match !== null)
  const fromSource = public_.map(([, folder]) => (folder === undefined ? '.' : `./${folder}`))
  const fromPackage = exports.filter((subpath) => subpath !== './package.json')
  return [
    ...fromSource
      .filter((subpath) => !fromPackage.includes(subpath))
      .map((subpath) => `${subpath} has no line in "exports" of package.json`),
    ...fromPackage
      .filter((subpath) => !fromSource.includes(subpath))
      .map((subpath) => `${subpath} is exported and has no index.ts`),
  ]
}

/** `any` in what a module exports. */
export function anyInSignatures(modules: readonly Module[]): string[] {
  return modules.flatMap(({ path, anyInSignatures }) => anyInSignatures.map((place) => `src/${path}:${place}`))
}

function eachImport(
  modules: readonly Module[],
  judge: (module: Module, i: Module['imports'][number]) => string | undefined,
): string[] {
  return modules.flatMap((module) =>
    module.imports.flatMap((i) => {
      const fault = judge(module, i)
      return fault === undefined ? [] : [`src/${module.path} imports '${i.specifier}': ${fault}`]
    }),
  )
}

/** The folder directly below `src`, or the file when it lies there itself. */
function partOf(path: string): string {
  return path.split('/')[0] ?? path
}

function only(...parts: string[]): (target: string) => boolean {
  return (target) => parts.includes(partOf(target)) || parts.includes(target)
}

function describeCycle(members: readonly string[]): string {
  const first = members.indexOf([...members].sort()[0] ?? '')
  const turned = [...members.slice(first), ...members.slice(0, first)]
  return [...turned, turned[0]].join(' -> ')
}
