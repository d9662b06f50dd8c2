import type { Issue } from '../errors.ts'
import type { StandardSchema } from '../message.ts'
import { notJsonIssue } from '../util/issues.ts'
import { isObject, toJson } from '../util/json.ts'
import { isThenable } from '../util/refusing.ts'

export type Parsed = { readonly value: unknown; readonly issues?: undefined } | Unfit

/**
 * Issues of a value. `refused` is set if the value is not the input: promises in it must be caught.
 */
export interface Unfit {
  readonly issues: readonly Issue[]
  readonly refused?: unknown
}

/** A shape at run time. */
export interface Parser {
  /** No data, `typed` data, or a schema of the user. */
  readonly kind: 'none' | 'typed' | 'schema'
  /** The schema of the user, for the kind `schema`. */
  readonly schema?: StandardSchema
  parse(data: unknown): Parsed | Promise<Parsed>
}

/** Returns `undefined` if `shape` cannot declare a message. */
export function parserOf(shape: unknown): Parser | undefined {
  if (!isObject(shape) && typeof shape !== 'function') return undefined
  if ('~none' in shape) return { kind: 'none', parse: parseNothing }
  if ('~standard' in shape) return parserBy(shape as StandardSchema)
  return '~typed' in shape ? { kind: 'typed', parse: parseJson } : undefined
}

const parserBy = (schema: StandardSchema): Parser => ({ kind: 'schema', schema, parse: (data) => parseBy(schema, data) })

/** Accepts no data, or `{}` as it is stored. */
function parseNothing(data: unknown): Parsed {
  const nothing = data === undefined || (isObject(data) && !Array.isArray(data) && Object.keys(data).length === 0)
  return nothing ? { value: undefined } : { issues: [{ message: 'takes no data' }] }
}

function parseJson(data: unknown): Parsed {
  try {
    return { value: toJson(data) }
  } catch (error) {
    return { issues: [notJsonIssue(error)] }
  }
}

function parseBy(schema: StandardSchema, data: unknown): Parsed | Promise<Parsed> {
  const result = schema['~standard'].validate(data)
  return isThenable(result) ? Promise.resolve(result).then(plainIssues) : plainIssues(result)
}

type SchemaResult = Awaited<ReturnType<StandardSchema['~standard']['validate']>>

function plainIssues(result: SchemaResult): Parsed {
  if (result.issues === undefined) return result
  return {
    issues: result.issues.map(({ message, path }) => ({
      message,
      path: Array.from(path ?? [], (part) => (typeof part === 'object' ? part.key : part)),
    })),
  }
}
