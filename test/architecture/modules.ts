import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, sep } from 'node:path'
import ts from 'typescript-5.9'

/** A module of `src`: its path below `src` with forward slashes, and what it imports and exports from elsewhere. */
export interface Module {
  readonly path: string
  readonly imports: readonly Import[]
  readonly anyInSignatures: readonly string[]
}

export interface Import {
  /** As written. */
  readonly specifier: string
  /** Path below `src`, when the specifier is relative. */
  readonly target: string | undefined
  /** Gone when the types are erased. */
  readonly typeOnly: boolean
}

/** Reads every module below a folder. */
export function readModules(folder: string): readonly Module[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => parseModule(file.split(sep).join('/'), readFileSync(join(folder, file), 'utf8')))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

export function parseModule(path: string, text: string): Module {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const imports: Import[] = []
  const add = (specifier: string, typeOnly: boolean) => {
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined
    imports.push({ specifier, target, typeOnly })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node.moduleSpecifier.text, node.importClause !== undefined && isTypeOnlyImport(node.importClause))
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node.moduleSpecifier.text, node.isTypeOnly || (node.exportClause !== undefined && areTypeOnly(node.exportClause)))
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
      add(node.argument.literal.text, true)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [specifier] = node.arguments
      add(specifier && ts.isStringLiteralLike(specifier) ? specifier.text : '(computed)', false)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { path, imports, anyInSignatures: source.statements.flatMap((statement) => anyInSignature(source, statement)) }
}

function isTypeOnlyImport(clause: ts.ImportClause): boolean {
  if (clause.isTypeOnly) return true
  return clause.name === undefined && clause.namedBindings !== undefined && areTypeOnly(clause.namedBindings)
}

function areTypeOnly(names: ts.NamedImportBindings | ts.NamedExportBindings): boolean {
  if (!ts.isNamedImports(names) && !ts.isNamedExports(names)) return false
  return names.elements.length > 0 && names.elements.every((element) => element.isTypeOnly)
}

/** `line: text` of each `any` that an exported statement shows to the outside; function bodies and initial values are private. */
function anyInSignature(source: ts.SourceFile, statement: ts.Statement): string[] {
  if (!ts.canHaveModifiers(statement)) return []
  if (!ts.getModifiers(statement)?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword)) return []
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.AnyKeyword && !isExplained(source, node)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      found.push(`${line + 1}: ${node.parent.getText().split('\n')[0]}`)
    }
    if (ts.isBlock(node) || isPrivate(node)) return
    ts.forEachChild(node, (child) => {
      if (isInitialValue(node, child)) return
      visit(child)
    })
  }
  visit(statement)
  return found
}

/** Whether the line above gives the linter, and readers, a reason for this `any`. */
function isExplained(source: ts.SourceFile, node: ts.Node): boolean {
  const { line } = source.getLineAndCharacterOfPosition(node.getStart())
  return source.text.split('\n')[line - 1]?.includes('biome-ignore lint/suspicious/noExplicitAny:') ?? false
}

/** Arrow functions and function expressions still show their parameters and result; other values show only what is inferred. */
function isInitialValue(node: ts.Node, child: ts.Node): boolean {
  if (ts.isArrowFunction(node)) return child === node.body
  if (ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isPropertyDeclaration(node)) {
    return child === node.initializer && !ts.isArrowFunction(child) && !ts.isFunctionExpression(child)
  }
  return false
}

function isPrivate(node: ts.Node): boolean {
  return ts.isClassElement(node) && node.name !== undefined && ts.isPrivateIdentifier(node.name)
}
