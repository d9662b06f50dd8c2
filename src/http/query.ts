import { ValidationError } from '../errors.ts'
import type { ViewDefinition } from '../subscriptions/definitions.ts'

/** The parameters of a request, each once and of known names. @throws ValidationError */
export function parametersOf(search: URLSearchParams, known: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const [name, value] of search) {
    if (!known.includes(name)) throw new ValidationError(`There is no parameter '${name}' here. There are: ${known.join(', ')}.`)
    if (found.has(name)) throw new ValidationError(`The parameter '${name}' is there twice.`)
    found.set(name, value)
  }
  return found
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

/** A parameter for each index, and one for each end of a range of it: `balance`, `balance.gte` … */
export const conditionNames = ({ indexes }: ViewDefinition): readonly string[] =>
  indexes.flatMap((index) => [index, ...ranges.map((range) => `${index}.${range}`)])

type Condition = unknown | Readonly<Record<string, unknown>>

/** What `find` is to look for. @throws ValidationError */
export function whereOf(view: ViewDefinition, parameters: ReadonlyMap<string, string>): Readonly<Record<string, Condition>> {
  return Object.fromEntries(
    view.indexes.flatMap((index): [string, Condition][] => {
      const text = parameters.get(index)
      const ends = ranges.flatMap((range): [string, unknown][] => {
        const end = parameters.get(`${index}.${range}`)
        return end === undefined ? [] : [[range, fieldValue(view, index, end)]]
      })
      if (text === undefined) return ends.length === 0 ? [] : [[index, Object.fromEntries(ends)]]
      if (ends.length > 0) throw new ValidationError(`The parameter '${index}' is a value or a range, not both.`)
      return [[index, fieldValue(view, index, text)]]
    }),
  )
}

/** Of the kind that the field has in the initial view. */
export type FieldKind = 'string' | 'number' | 'boolean' | 'null'

export function kindOfIndex(view: ViewDefinition, index: string): FieldKind {
  const value = (view.initialView() as Record<string, unknown>)[index]
  return value === null ? 'null' : (typeof value as FieldKind)
}

/** Where the initial view has `null`, a text is taken as JSON if it is a value of JSON, else as it is. */
function fieldValue(view: ViewDefinition, index: string, text: string): unknown {
  const kind = kindOfIndex(view, index)
  if (kind === 'string') return text
  const value = scalarOf(text)
  if (kind === 'null') return value === undefined ? text : value
  if (typeof value === kind) return value
  throw new ValidationError(`The parameter '${index}' must be a ${kind}, not '${text}'.`)
}

function scalarOf(text: string): string | number | boolean | null | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? undefined : (value as string)
  } catch {
    return undefined
  }
}
