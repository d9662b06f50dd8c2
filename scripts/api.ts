/**
 * Compares the public API with api-report.md: `npm run api`. With `--write` it writes the file. The
 * report has each export of each subpath as declared, without comments, and then the types in these
 * declarations that cannot be imported.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript-5.9'
import { compilers, node, root } from '../test/run.ts'

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>
}

const file = 'api-report.md'
const manifest = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as Manifest
const folder = await mkdtemp(join(tmpdir(), 'cqrs-es-api-'))
let report: string
try {
  const emit = ['-p', `${root}tsconfig.build.json`, '--outDir', folder, '--declarationMap', 'false']
  const { code, output } = await node(compilers['TypeScript 7'], ...emit)
  if (code !== 0) throw new Error(output)
  report = reportOf(manifest, folder)
} finally {
  await rm(folder, { recursive: true, force: true })
}

if (process.argv.includes('--write')) {
  await writeFile(`${root}${file}`, report)
} else {
  const known = await readFile(`${root}${file}`, 'utf8').catch(() => '')
  if (known !== report) {
    console.error(`The public API is not the one in ${file}.\n`)
    for (const line of changedLines(known, report)) console.error(line)
    console.error(`\nIf that is meant, run \`npm run api -- --write\` and commit ${file} with the change.`)
    process.exitCode = 1
  }
}

function reportOf({ name, exports }: Manifest, folder: string): string {
  const entries = Object.entries(exports).flatMap(([subpath, target]): [string, string][] =>
    typeof target === 'string' ? [] : [[name + subpath.slice(1), join(folder, target.types.replace('./dist/', ''))]],
  )
  const program = ts.createProgram(
    entries.map(([, entry]) => entry),
    { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, strict: true, noEmit: true, types: [], skipLibCheck: true },
  )
  const checker = program.getTypeChecker()
  const printer = ts.createPrinter({ removeComments: true })
  const resolved = (symbol: ts.Symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)
  const declarationsOf = (symbol: ts.Symbol) =>
    (symbol.declarations ?? []).filter((one) => one.getSourceFile().fileName.startsWith(folder)).map(statementOf)
  const textOf = (symbol: ts.Symbol) =>
    declarationsOf(symbol)
      .map((one) => printer.printNode(ts.EmitHint.Unspecified, one, one.getSourceFile()))
      .join('\n')

  const printed = new Map<ts.Symbol, string>()
  const sections = entries.map(([specifier, entry]) => {
    const source = program.getSourceFile(entry)
    const module = source && checker.getSymbolAtLocation(source)
    if (module === undefined) throw new Error(`${entry} is no module.`)
    const exported = checker.getExportsOfModule(module).sort((a, b) => (a.name < b.name ? -1 : 1))
    const texts = exported.map((one) => {
      const symbol = resolved(one)
      const elsewhere = printed.get(symbol)
      printed.set(symbol, elsewhere ?? specifier)
      return elsewhere === undefined ? textOf(symbol) : `// ${one.name}: as in ${elsewhere}`
    })
    return section(specifier, texts)
  })
  const inner = new Map<string, string>()
  const reach = (symbol: ts.Symbol) => {
    for (const declaration of declarationsOf(symbol)) visit(declaration)
  }
  const visit = (at: ts.Node): void => {
    if (ts.isIdentifier(at)) {
      const found = checker.getSymbolAtLocation(at)
      const symbol = found && resolved(found)
      const isType = symbol !== undefined && (symbol.flags & (ts.SymbolFlags.Type & ~ts.SymbolFlags.TypeParameter)) !== 0
      if (isType && !printed.has(symbol) && declarationsOf(symbol).length > 0) {
        printed.set(symbol, '')
        inner.set(`${symbol.name} ${textOf(symbol)}`, textOf(symbol))
        reach(symbol)
      }
    }
    ts.forEachChild(at, visit)
  }
  for (const symbol of [...printed.keys()]) reach(symbol)
  const rest = [...inner].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text)
  return `# Public API\n\nWritten by \`npm run api -- --write\`; \`npm run check\` compares it.\n\n${[...sections, section('What those are made of, and cannot be imported', rest)].join('\n')}`
}

function section(title: string, texts: readonly string[]): string {
  return `## ${title}\n\n\`\`\`ts\n${texts.join('\n')}\n\`\`\`\n`
}

/** The statement of a declaration. */
function statementOf(declaration: ts.Declaration): ts.Node {
  return ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
}

/** Lines that only one of two texts has, each with the heading above it. */
function changedLines(before: string, after: string): readonly string[] {
  const only = (text: string, other: string, sign: string) => {
    const others = new Set(other.split('\n'))
    return text
      .split('\n')
      .filter((line) => !others.has(line))
      .map((line) => `${sign} ${line}`)
  }
  const lines = [...only(before, after, '-'), ...only(after, before, '+')]
  return lines.length === 0 ? ['Only the order of lines differs.'] : lines
}
