import fc, { type Arbitrary } from 'fast-check'

/** A request that the document allows, or nearly. */
export interface Asked {
  readonly method: string
  /** As the document has it. */
  readonly template: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

type Schema = Readonly<Record<string, unknown>>
interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required?: boolean
  readonly schema: Schema
}
interface Operation {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Schema } } }
}
export interface Described {
  readonly paths: Readonly<Record<string, object>>
  readonly components: Readonly<Record<string, object>>
}

/** Requests for all operations of a document: most as it says, some with something wrong in one place. */
export function requestsFor(document: Described): Arbitrary<Asked> {
  const valuesFor = valuesIn(document)
  return fc.oneof(
    ...Object.entries(document.paths).flatMap(([template, item]) => {
      const { parameters: shared = [], ...operations } = item as { parameters?: readonly Parameter[] } & Record<string, Operation>
      return Object.entries(operations).map(([method, operation]) =>
        requestTo(
          template,
          method,
          [...shared, ...((operation as Operation).parameters ?? [])],
          operation as Operation,
          valuesFor,
        ),
      )
    }),
  )
}

function requestTo(
  template: string,
  method: string,
  parameters: readonly Parameter[],
  { requestBody }: Operation,
  valuesFor: (schema: Schema) => Arbitrary<unknown>,
): Arbitrary<Asked> {
  const body = requestBody?.content['application/json'].schema
  const json = body === undefined ? fc.constant(undefined) : valuesFor(body).map((value) => JSON.stringify(value))
  const textOf = ({ schema }: Parameter) =>
    fc.oneof({ weight: 6, arbitrary: valuesFor(schema).map(textual) }, { weight: 1, arbitrary: anyText })
  const inPath = parameters.filter((one) => one.in === 'path')
  const others = (place: Parameter['in']) =>
    fc.record(Object.fromEntries(parameters.filter((one) => one.in === place).map((one) => [one.name, textOf(one)])), {
      requiredKeys: [],
    })
  return fc
    .record({
      inPath: fc.record(
        Object.fromEntries(
          inPath.map((one) => [
            one.name,
            fc.oneof({ weight: 4, arbitrary: fc.constantFrom('a', 'b', 'ä/b') }, { weight: 1, arbitrary: textOf(one) }),
          ]),
        ),
      ),
      query: others('query'),
      headers: others('header'),
      body:
        body === undefined
          ? json
          : fc.oneof({ weight: 8, arbitrary: json }, { weight: 1, arbitrary: fc.string() }, { weight: 1, arbitrary: fc.json() }),
      type: fc.oneof({ weight: 20, arbitrary: fc.constant('application/json') }, { weight: 1, arbitrary: headerText }),
    })
    .map(({ inPath: names, query, headers, body: text, type }) => ({
      method: method.toUpperCase(),
      template,
      path: pathOf(template, names as Record<string, string>, query as Record<string, string>),
      headers: {
        ...Object.fromEntries(Object.entries(headers as Record<string, string>).map(([name, value]) => [name, asHeader(value)])),
        ...(requestBody === undefined ? {} : { 'Content-Type': type }),
      },
      body: text,
    }))
}

function pathOf(template: string, names: Readonly<Record<string, string>>, query: Readonly<Record<string, string>>): string {
  const path = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(names[name] ?? ''))
  const search = new URLSearchParams(query).toString()
  return search === '' ? path : `${path}?${search}`
}

const textual = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
const anyText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('__proto__', '..', '%00', '\0', '-1', '1e400', 'null', '"', 'x'.repeat(300)),
)
/** What HTTP lets into a header. */
const asHeader = (text: string): string => text.replace(/[^\x20-\x7e]/g, '').trim()
const headerText = anyText.map(asHeader)

/** Values of a schema, as far as tests of ours need them. */
function valuesIn({ components }: Described): (schema: Schema) => Arbitrary<unknown> {
  const valuesFor = (schema: Schema, depth = 0): Arbitrary<unknown> => {
    const {
      $ref,
      const: only,
      enum: few,
      oneOf,
      type,
    } = schema as { $ref?: string; const?: unknown; enum?: unknown[]; oneOf?: Schema[]; type?: string }
    if ($ref !== undefined)
      return valuesFor((components.schemas as Record<string, Schema>)[$ref.split('/').at(-1) as string] as Schema, depth + 1)
    if (only !== undefined) return fc.constant(only)
    if (few !== undefined) return fc.constantFrom(...few)
    if (oneOf !== undefined) return fc.oneof(...oneOf.map((one) => valuesFor(one, depth)))
    if (type === 'object') return objectOf(schema)
    if (type === 'string') return stringOf(schema)
    if (type === 'integer') return fc.integer(boundsOf(schema))
    if (type === 'number') return fc.double({ ...boundsOf(schema), noNaN: true, noDefaultInfinity: true })
    if (type === 'boolean') return fc.boolean()
    if (type === undefined) return fc.jsonValue()
    throw new Error(`There are no values yet for ${JSON.stringify(schema)}.`)
  }
  const objectOf = ({ properties = {}, required = [] }: { properties?: Record<string, Schema>; required?: string[] }) =>
    fc.record(Object.fromEntries(Object.entries(properties).map(([key, one]) => [key, nearly(valuesFor(one))])), {
      requiredKeys: required,
    })
  return valuesFor
}

/** Now and then something else. */
const nearly = (values: Arbitrary<unknown>) =>
  fc.oneof({ weight: 15, arbitrary: values }, { weight: 1, arbitrary: fc.jsonValue() })

const stringOf = ({ minLength = 0, maxLength = 40 }: { minLength?: number; maxLength?: number }) =>
  fc.string({ unit: 'grapheme', minLength, maxLength: Math.min(maxLength, minLength + 20) })

interface Bounds {
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
}

const boundsOf = ({ minimum, exclusiveMinimum, maximum }: Bounds) => ({
  ...(minimum === undefined && exclusiveMinimum === undefined ? {} : { min: minimum ?? (exclusiveMinimum as number) }),
  ...(maximum === undefined ? {} : { max: Math.min(maximum, 2 ** 31 - 1) }),
})
