import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript-5.9'
import { describe, expect, test } from 'vitest'
import { root } from '../run.ts'

/** What somebody can import from a subpath of the package. */
interface Export {
  readonly name: string
  readonly kind: 'class' | 'function' | 'type'
  readonly purpose: string
  readonly tags: readonly string[]
}

const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, unknown> }
const subpaths = Object.keys(exports).filter((subpath) => subpath !== './package.json')
const entryOf = (subpath: string) => join(root, 'src', subpath, 'index.ts')
const program = ts.createProgram(subpaths.map(entryOf), {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  allowImportingTsExtensions: true,
  noEmit: true,
  skipLibCheck: true,
  types: ['node'],
})

describe.each(subpaths)('the exports of %s', (subpath) => {
  const all = exportsOf(program, entryOf(subpath))

  test('exports are found', () => expect(all.length).toBeGreaterThan(0))
  test('exports have a summary', () => expect(all.filter(({ purpose }) => purpose === '').map(named)).toEqual([]))
  test('exported functions have an example', () => {
    const functions = all.filter(({ kind }) => kind === 'function')
    expect(functions.filter(({ tags }) => !tags.includes('example')).map(named)).toEqual([])
  })
  test('exported functions describe how to handle errors', () => {
    const classes = all.filter(({ kind, name }) => kind === 'class' && name.endsWith('Error'))
    expect(classes.filter(({ purpose }) => !purpose.includes('*Handling*:')).map(named)).toEqual([])
  })
})

const named = ({ name }: Export): string => name

function exportsOf(program: ts.Program, entry: string): readonly Export[] {
  const checker = program.getTypeChecker()
  const file = program.getSourceFile(entry)
  const module = file && checker.getSymbolAtLocation(file)
  if (module === undefined) throw new Error(`${entry} is no module`)
  return checker.getExportsOfModule(module).map((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
    const { Class, Function: Fn, Variable } = ts.SymbolFlags
    return {
      name: exported.name,
      kind: symbol.flags & Class ? 'class' : symbol.flags & (Fn | Variable) ? 'function' : 'type',
      purpose: ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim(),
      tags: symbol.getJsDocTags(checker).map((tag) => tag.name),
    }
  })
}
