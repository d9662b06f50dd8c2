import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type Module, parseModule, readModules } from './architecture/modules.ts'
import {
  anyInSignatures,
  cycles,
  danglingImports,
  exportMismatches,
  foreignImports,
  importsOfIndexes,
  wrongWays,
} from './architecture/rules.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

describe('the modules of src', () => {
  const modules = readModules(`${root}src`)
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { exports: Record<string, unknown> }

  test('modules of src import only in the allowed directions', () => expect(wrongWays(modules)).toEqual([]))
  test('modules of src do not import an index.ts', () => expect(importsOfIndexes(modules)).toEqual([]))
  test('modules of src import nothing from outside', () => expect(foreignImports(modules)).toEqual([]))
  test('modules of src import only existing modules', () => expect(danglingImports(modules)).toEqual([]))
  test('modules of src have no import cycles at run time', () => expect(cycles(modules, { typesToo: false })).toEqual([]))
  test('modules of src have no import cycles among their types', () => expect(cycles(modules, { typesToo: true })).toEqual([]))
  test('folders of src with an index.ts are exported', () => expect(exportMismatches(modules, Object.keys(exports))).toEqual([]))
  test('exported signatures of src have no `any` without a reason', () => expect(anyInSignatures(modules)).toEqual([]))
})

describe('the rules of the architecture', () => {
  test.each([
    ['sqlite/store.ts', '../memory/store.ts'],
    ['memory/store.ts', '../app.ts'],
    ['memory/store.ts', '../util/names.ts'],
    ['store/store.ts', '../util/json.ts'],
    ['util/options.ts', '../execution/call.ts'],
    ['store/store.ts', '../sqlite/store.ts'],
    ['sql/names.ts', '../postgres/store.ts'],
    ['app.ts', './sqlite/store.ts'],
    ['execution/commit.ts', '../testing/given.ts'],
    ['views/find.ts', '../conformance/suite.ts'],
    ['aggregate.ts', './http/serve.ts'],
    ['app.ts', './sql/names.ts'],
    ['conformance/suite.ts', '../app.ts'],
    ['testing/given.ts', '../memory/store.ts'],
    ['http/serve.ts', '../lambda/api.ts'],
    ['lambda/stream.ts', '../dynamodb/store.ts'],
    ['lambda/stream.ts', '../memory/store.ts'],
    ['http/serve.ts', '../dynamodb/changes.ts'],
    ['app.ts', '../bench/run.ts'],
  ])('%s must not import %s', (path, specifier) => {
    expect(wrongWays([importing(path, specifier)])).toHaveLength(1)
  })

  test.each([
    ['sqlite/store.ts', './schema.ts'],
    ['postgres/store.ts', '../sql/names.ts'],
    ['postgres/store.ts', '../store/store.ts'],
    ['postgres/store.ts', '../errors.ts'],
    ['dynamodb/connection.ts', '../util/lru-map.ts'],
    ['sql/names.ts', '../store/store.ts'],
    ['execution/commit.ts', '../store/store.ts'],
    ['execution/commit.ts', '../views/update.ts'],
    ['testing/given.ts', '../aggregate.ts'],
    ['conformance/suite.ts', '../event-envelope.ts'],
    ['lambda/stream.ts', '../dynamodb/changes.ts'],
    ['lambda/sqs.ts', '../errors.ts'],
  ])('%s may import %s', (path, specifier) => {
    expect(wrongWays([importing(path, specifier)])).toEqual([])
  })

  test('every syntax of an import is found', () => {
    const written = [
      `import '../app.ts'`,
      `import type { App } from '../app.ts'`,
      `import app from '../app.ts'`,
      `import * as app from '../app.ts'`,
      `export { app } from '../app.ts'`,
      `export * from '../app.ts'`,
      `export type { App } from '../app.ts'`,
      `const app = await import('../app.ts')`,
      `type App = import('../app.ts').App`,
    ]
    for (const line of written) expect(wrongWays([parseModule('memory/store.ts', line)]), line).toHaveLength(1)
  })

  test('only the main index.ts may import an index.ts', () => {
    expect(importsOfIndexes([importing('app.ts', './store/index.ts')])).toHaveLength(1)
    expect(importsOfIndexes([importing('app.ts', './index.ts')])).toHaveLength(1)
    expect(importsOfIndexes([importing('index.ts', './store/index.ts')])).toEqual([])
  })

  test('modules import no package, and Node only where allowed', () => {
    expect(foreignImports([importing('sqlite/store.ts', 'better-sqlite3')])).toHaveLength(1)
    expect(foreignImports([importing('app.ts', 'cqrs-es/store')])).toHaveLength(1)
    expect(foreignImports([importing('app.ts', 'crypto')])).toHaveLength(1)
    expect(foreignImports([importing('app.ts', 'node:crypto')])).toHaveLength(1)
    expect(foreignImports([importing('testing/given.ts', 'node:assert')])).toEqual([])
  })

  test('an import of a missing module is found', () => {
    expect(danglingImports([importing('app.ts', './gone.ts')])).toHaveLength(1)
    expect(danglingImports([importing('app.ts', './app')])).toHaveLength(1)
  })

  test('cycles at run time and cycles of types are found separately', () => {
    const ring = [importing('b.ts', './c.ts'), importing('c.ts', './a.ts'), importing('a.ts', './b.ts')]
    expect(cycles(ring, { typesToo: false })).toEqual(['a.ts -> b.ts -> c.ts -> a.ts'])
    const types = [importing('a.ts', './b.ts'), parseModule('b.ts', `import { type A } from './a.ts'`)]
    expect(cycles(types, { typesToo: false })).toEqual([])
    expect(cycles(types, { typesToo: true })).toEqual(['a.ts -> b.ts -> a.ts'])
    expect(cycles([importing('a.ts', './b.ts'), importing('c.ts', './b.ts')], { typesToo: true })).toEqual([])
  })

  test('a difference between exports and folders is found', () => {
    const modules = [parseModule('index.ts', ''), parseModule('memory/index.ts', ''), parseModule('views/find.ts', '')]
    expect(exportMismatches(modules, ['.', './memory', './package.json'])).toEqual([])
    expect(exportMismatches(modules, ['.'])).toEqual(['./memory has no line in "exports" of package.json'])
    expect(exportMismatches(modules, ['.', './memory', './views'])).toEqual(['./views is exported and has no index.ts'])
  })

  test.each([
    'export function f(a: any) {}',
    'export const f = (a: string): any => a',
    'export const a: any = 1',
    'export interface A { b: Record<string, any> }',
    'export type A<T> = T extends (...args: any[]) => infer R ? R : never',
    'export class A { b(c: any) {} }',
  ])('`%s` is reported', (text) => {
    expect(anyInSignatures([parseModule('a.ts', text)])).toHaveLength(1)
  })

  test.each([
    'function f(a: any) {}',
    'export function f(a: string) { const b: any = a; return b as string }',
    'export const f = (a: string) => (a as any) as string',
    'export class A { #b(c: any) {} }',
    '// biome-ignore lint/suspicious/noExplicitAny: only the caller knows\nexport function f(a: any) {}',
  ])('`%s` is accepted because it is private or explained', (text) => {
    expect(anyInSignatures([parseModule('a.ts', text)])).toEqual([])
  })
})

function importing(path: string, specifier: string): Module {
  return parseModule(path, `import { x } from '${specifier}'`)
}
