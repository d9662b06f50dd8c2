import { ValidationError } from '../errors.ts'
import { isReceivable } from '../store/exact-json.ts'
import type { ViewDefinition } from '../views/view-definition.ts'

/** Returns the parameters of a request, each once and with a known name. @throws ValidationError */
export function parametersOf(url: URL, known: readonly string[]): ReadonlyMap<string, string> {
  const { found, problem } = parametersIn(url, known)
  if (problem !== undefined) throw problem
  return found
}

interface Parameters {
  readonly found: ReadonlyMap<string, string>
  readonly problem: ValidationError | undefined
}

function parametersIn({ search, searchParams }: URL, known: readonly string[]): Parameters {
  const found = new Map<string, string>()
  if (search === '') return { found, problem: undefined }
  if (!isDecodable(search)) return { found, problem: new ValidationError('The query is not percent-encoded UTF-8.') }
  let problem: ValidationError | undefined
  for (const [name, value] of searchParams) {
    if (!known.includes(name)) problem ??= new ValidationError(unknownText(name, known))
    else if (found.has(name)) problem ??= new ValidationError(`The parameter '${name}' occurs twice. Send it once.`)
    else found.set(name, value)
  }
  return { found, problem }
}

const unknownText = (name: string, known: readonly string[]): string =>
  `There is no parameter '${name}' here. Parameters: ${known.join(', ') || 'none'}.`

/** `URLSearchParams` decodes invalid UTF-8 to other text without an error. */
function isDecodable(search: string): boolean {
  if (!search.includes('%')) return true
  try {
    decodeURIComponent(search)
    return true
  } catch {
    return false
  }
}

/** @throws ValidationError */
export function wholeNumber(parameters: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = parameters.get(name)
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new ValidationError(`The parameter ${name} must be a whole number, not '${text}'.`)
}

/** @throws ValidationError */
export function flag(parameters: ReadonlyMap<string, string>, name: string): boolean | undefined {
  const text = parameters.get(name)
  if (text === undefined) return undefined
  if (text === 'true' || text === 'false') return text === 'true'
  throw new ValidationError(`The parameter ${name} must be true or false, not '${text}'.`)
}

export const pageNames = ['limit', 'after', 'orderBy', 'descending']
const ranges = ['gt', 'gte', 'lt', 'lte']

/** One parameter per index, and one per bound of its range: `balance`, `balance.gte` … */
export const conditionNames = ({ indexes }: ViewDefinition): readonly string[] =>
  indexes.flatMap((index) => [index, ...ranges.map((range) => `${index}.${range}`)])

/** The query of a `find`. */
interface FindQuery {
  readonly parameters: ReadonlyMap<string, string>
  /** The valid conditions; all of them if there is no problem. */
  readonly where: Readonly<Record<string, unknown>>
  readonly problem: unknown
}

/**
 * Reads as much of the query as is valid. The problem is reported after the authorization, because
 * an unauthorized caller must not learn which parameters exist.
 */
export function findQueryOf(view: ViewDefinition, url: URL, known: readonly string[]): FindQuery {
  const { found, problem } = parametersIn(url, known)
  const where: [string, unknown][] = []
  let first: unknown = problem
  for (const index of view.indexes)
    try {
      where.push(...conditionsOn(view, index, found))
    } catch (unfit) {
      first ??= unfit
    }
  return { parameters: found, where: Object.fromEntries(where), problem: first }
}

function conditionsOn(view: ViewDefinition, index: string, parameters: ReadonlyMap<string, string>): [string, unknown][] {
  const ends = ranges.flatMap((range): [string, unknown][] => {
    const name = `${index}.${range}`
    const end = parameters.get(name)
    return end === undefined ? [] : [[range, fieldValue(view, index, name, end)]]
  })
  const text = parameters.get(index)
  if (text === undefined) return ends.length === 0 ? [] : [[index, Object.fromEntries(ends)]]
  if (ends.length > 0) throw new ValidationError(`The parameter '${index}' is a value or a range, not both.`)
  return [[index, fieldValue(view, index, index, text)]]
}

/** The kind of an index, as in the initial view. */
export type FieldKind = 'string' | 'number' | 'boolean' | 'null'

export function kindOfIndex(view: ViewDefinition, index: string): FieldKind {
  const value = (view.initialView() as Record<string, unknown>)[index]
  return value === null ? 'null' : (typeof value as FieldKind)
}

/**
 * Reads the value of an index. If the initial view has `null`, a JSON value that JavaScript can
 * hold is parsed, and anything else is a text.
 */
function fieldValue(view: ViewDefinition, index: string, name: string, text: string): unknown {
  const kind = kindOfIndex(view, index)
  if (kind === 'string') return text
  const value = scalarOf(text)
  if (kind === 'null') return value === undefined ? text : value
  if (typeof value === kind) return value
  throw new ValidationError(`The parameter '${name}' must be a ${kind}, not '${text}'.`)
}

function scalarOf(text: string): string | number | boolean | null | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'number' && !isReceivable(text.trim())) return undefined
    return typeof value === 'object' && value !== null ? undefined : (value as string)
  } catch {
    return undefined
  }
}
