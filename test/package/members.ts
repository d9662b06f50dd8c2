import ts from 'typescript-5.9'

const deepest = 4

/** These stand for a client of the AWS SDK, which has names of its own for what they are made of. */
const clients = ['DynamoDbClient', 'DynamoDbStreamsClient']

/**
 * Expressions for what a module exports and, several levels down, for each member of it that is of the package: `all.app!.aggregates!.account!.execute!`; for each function also a function that calls it,
 * whose result TypeScript must name.
 */
export function membersOf(file: string): readonly string[] {
  const program = ts.createProgram([file], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    strict: true,
    noEmit: true,
    types: [],
  })
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(file)
  if (source === undefined) throw new Error(`${file} is not there`)
  const module = checker.getSymbolAtLocation(source)
  if (module === undefined) throw new Error(`${file} is no module`)
  const isOfLanguage = (symbol: ts.Symbol) =>
    symbol.declarations?.every((declaration) => program.isSourceFileDefaultLibrary(declaration.getSourceFile())) === true
  const below = (symbol: ts.Symbol, at: string, level: number): readonly string[] => {
    const type = checker.getTypeOfSymbol(symbol)
    return of(checker.getNonNullableType(type), at, level)
  }
  const of = (type: ts.Type, at: string, level: number): readonly string[] => {
    if (level === deepest || clients.includes(type.symbol?.name)) return [at]
    const element = checker.isArrayLikeType(type) ? checker.getIndexTypeOfType(type, ts.IndexKind.Number) : undefined
    if (element !== undefined) return [at, ...of(element, `${at}[0]!`, level + 1)]
    const members = checker.getPropertiesOfType(type)
    const [signature] = type.getCallSignatures()
    const nothing = signature?.parameters.map(() => 'null as never').join(', ')
    return [
      at,
      ...(nothing === undefined ? [] : [`() => ${at}(${nothing})`]),
      ...members
        .filter((member) => /^[A-Za-z]\w*$/.test(member.name) && !isOfLanguage(member))
        .flatMap((member) => below(member, `${at}.${member.name}!`, level + 1)),
    ]
  }
  return checker.getExportsOfModule(module).flatMap((symbol) => below(symbol, `all.${symbol.name}!`, 0))
}

/** Declarations of a value of each type that is exported and needs no arguments. `file` imports each of the subpaths. */
export function valuesOf(file: string, specifiers: readonly string[]): string {
  const program = ts.createProgram([file], { module: ts.ModuleKind.NodeNext, strict: true, noEmit: true, types: [] })
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(file)
  return specifiers
    .flatMap((specifier, i) => {
      const module = source?.statements.find(
        (one): one is ts.ImportDeclaration =>
          ts.isImportDeclaration(one) && (one.moduleSpecifier as ts.StringLiteral).text === specifier,
      )
      const symbol = module && checker.getSymbolAtLocation(module.moduleSpecifier)
      if (symbol === undefined) throw new Error(`${file} does not import ${specifier}`)
      const types = checker.getExportsOfModule(symbol).filter((one) => needsNoArguments(checker, one))
      return [
        `import type * as s${i} from '${specifier}'`,
        ...types.map(({ name }) => `export const s${i}_${name} = null as unknown as s${i}.${name}`),
      ]
    })
    .join('\n')
}

function needsNoArguments(checker: ts.TypeChecker, exported: ts.Symbol): boolean {
  const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
  const declaration = symbol.declarations?.find((one) => ts.isInterfaceDeclaration(one) || ts.isTypeAliasDeclaration(one))
  const parameters = declaration?.typeParameters ?? []
  return declaration !== undefined && parameters.every((parameter) => parameter.default !== undefined)
}
