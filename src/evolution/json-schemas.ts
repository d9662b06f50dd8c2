import { isObject } from '../util/json.ts'
import type { Parser } from './schema.ts'

type Direction = 'input' | 'output'
/** Version of JSON Schema: that of OpenAPI 3.1, or that of AsyncAPI 3.0. */
type Dialect = 'draft-2020-12' | 'draft-07'

/**
 * The JSON Schema part of Standard JSON Schema, version 1 (https://standardschema.dev/json-schema).
 */
interface StandardJsonSchema {
  readonly jsonSchema?: Readonly<Record<Direction, (options: { readonly target: string }) => Record<string, unknown>>>
}

/** The named schemas of a document. */
export class Schemas {
  readonly #all: Map<string, object>
  readonly #dialect: Dialect

  constructor(first: Readonly<Record<string, object>>, dialect: Dialect = 'draft-2020-12') {
    this.#all = new Map(Object.entries(first))
    this.#dialect = dialect
  }

  all(): Record<string, object> {
    return Object.fromEntries(this.#all)
  }

  /** Adds a schema under this name, or a similar free one. Returns a reference to it. */
  add(wanted: string, schema: object): object {
    const name = this.#freeName(wanted)
    this.#all.set(name, schema)
    return this.reference(name)
  }

  reference(name: string): object {
    return { $ref: `#/components/schemas/${name}` }
  }

  /** Schema of a message's input. */
  input(name: string, parser: Parser): object {
    return this.#of(name, parser, 'input')
  }

  /** Schema of a message's output. */
  output(name: string, parser: Parser): object {
    return this.#of(name, parser, 'output')
  }

  /** Any value, if the schema offers no JSON Schema or has no equivalent in it. */
  #of(wanted: string, { kind, schema }: Parser, direction: Direction): object {
    if (kind === 'none') return { type: 'object', maxProperties: 0 }
    const made = schema && jsonSchemaOf(schema['~standard'] as StandardJsonSchema, direction, this.#dialect)
    if (made === undefined) return {}
    const name = this.#freeName(wanted)
    const group = this.#dialect === 'draft-07' ? 'definitions' : '$defs'
    const { $schema: _, [group]: parts = {}, ...rest } = made
    this.#all.set(name, {})
    const names = new Map(Object.keys(parts as object).map((key) => [`#/${group}/${key}`, this.#reserve(`${name}.${key}`)]))
    const refer = (ref: string) => {
      const [found, rest] =
        [...names].map(([from, to]) => [to, after(ref, from)] as const).find(([, rest]) => rest !== undefined) ?? []
      return found === undefined ? `#/components/schemas/${name}${after(ref, '#') ?? ''}` : `#/components/schemas/${found}${rest}`
    }
    for (const [key, definition] of Object.entries(parts as object))
      this.#all.set(names.get(`#/${group}/${key}`) as string, moved(definition, refer) as object)
    this.#all.set(name, moved(rest, refer) as object)
    return this.reference(name)
  }

  #reserve(wanted: string): string {
    const name = this.#freeName(wanted)
    this.#all.set(name, {})
    return name
  }

  /** OpenAPI allows letters, digits, `.`, `_` and `-`. */
  #freeName(wanted: string): string {
    const name = wanted.replace(/[^A-Za-z0-9._-]/g, '_')
    let free = name
    for (let nth = 2; this.#all.has(free); nth++) free = `${name}-${nth}`
    return free
  }
}

function jsonSchemaOf(standard: StandardJsonSchema, direction: Direction, target: Dialect): Record<string, unknown> | undefined {
  try {
    return standard.jsonSchema?.[direction]({ target })
  } catch {
    // Libraries throw for anything that JSON Schema cannot express, such as a transformation.
    return undefined
  }
}

/** Returns the part of a JSON pointer after `start`. */
const after = (pointer: string, start: string): string | undefined =>
  pointer === start || pointer.startsWith(`${start}/`) ? pointer.slice(start.length) : undefined

/** Members that hold data, not schemas. */
const dataKeys = ['const', 'enum', 'default', 'examples', 'example']
/** Members that hold schemas by name. Their keys are never keywords. */
const namedKeys = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']

/** Rewrites the references of a schema to its own parts, which have moved. */
function moved(schema: unknown, refer: (ref: string) => string): unknown {
  if (Array.isArray(schema)) return schema.map((one) => moved(one, refer))
  if (!isObject(schema)) return schema
  return mapped(schema, (value, key) => {
    if (key === '$ref' && typeof value === 'string') return value.startsWith('#') ? refer(value) : value
    if (dataKeys.includes(key)) return value
    return namedKeys.includes(key) && isObject(value) ? mapped(value, (one) => moved(one, refer)) : moved(value, refer)
  })
}

const mapped = (values: object, change: (value: unknown, key: string) => unknown): object =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value, key)]))
