import ts from 'typescript-5.9'

const deepest = 4

/**
 * Expressions for what a module exports and, several levels down, for each member of it that is of the package: `all.app.aggregates.account.execute`; for each function also a function that calls it,
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
  const module = source && checker.getSymbolAtLocation(source)
  if (module === undefined) throw new Error(`${file} is no module`)
  const isOfLanguage = (symbol: ts.Symbol) =>
    symbol.declarations?.every((declaration) => program.isSourceFileDefaultLibrary(declaration.getSourceFile())) === true
  const below = (symbol: ts.Symbol, at: string, level: number): readonly string[] => {
    const type = checker.getTypeOfSymbol(symbol)
    const members = level === deepest || checker.isArrayLikeType(type) ? [] : checker.getPropertiesOfType(type)
    const [signature] = type.getCallSignatures()
    const nothing = signature?.parameters.map(() => 'null as never').join(', ')
    return [
      at,
      ...(nothing === undefined ? [] : [`() => ${at}(${nothing})`]),
      ...members
        .filter((member) => /^[A-Za-z]\w*$/.test(member.name) && !isOfLanguage(member))
        .flatMap((member) => below(member, `${at}.${member.name}`, level + 1)),
    ]
  }
  return checker.getExportsOfModule(module).flatMap((symbol) => below(symbol, `all.${symbol.name}`, 0))
}
