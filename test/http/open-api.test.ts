import { Validator } from '@seriousme/openapi-schema-validator'
import { type } from 'arktype'
import { createApp, defineAggregate, noData, type StandardSchema } from 'cqrs-es'
import { createHandler, type OpenApiDocument, openApiDocument } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { bankApp } from '../../examples/bank-account/app.ts'
import { asking, openShop, order, orders } from './shop.ts'

const problemsOf = async (document: OpenApiDocument) =>
  (await new Validator().validate(structuredClone(document) as never)).errors

/** What is there under these keys, one below the other. */
const inside = (value: unknown, ...keys: readonly string[]) =>
  keys.reduce((found, key) => {
    expect(Object.keys(found)).toContain(key)
    return (found as Record<string, object>)[key] as object
  }, value as object) as Readonly<Record<string, unknown>>

interface Reference {
  readonly $ref: string
}

/** What a reference leads to. */
function at(document: OpenApiDocument, reference: unknown) {
  const { $ref } = reference as Reference
  expect($ref).toMatch(/^#\//)
  return inside(document, ...$ref.slice(2).split('/'))
}

const referencesIn = (value: unknown): Reference[] => {
  if (typeof value !== 'object' || value === null) return []
  const own = '$ref' in value && typeof value.$ref === 'string' ? [value as Reference] : []
  return [...own, ...Object.values(value).flatMap(referencesIn)]
}

const shop = openShop()
const document = openApiDocument(shop, { authorize: 'none' })
const bodyOf = (made: OpenApiDocument, path: string) => inside(made.paths, path, 'post', 'requestBody')
const schemaOf = (made: OpenApiDocument, path: string) => inside(bodyOf(made, path), 'content', 'application/json', 'schema')

describe('the OpenAPI document', () => {
  test.each([
    ['of the shop', () => document],
    ['of the bank', () => openApiDocument(bankApp(memoryStore()), { authorize: 'none' })],
    ['of an empty app', () => openApiDocument(createApp({ store: memoryStore(), aggregates: {} }), { authorize: 'none' })],
    [
      'with all options',
      () =>
        openApiDocument(shop, {
          authorize: () => ({ ok: true, caller: undefined }),
          waitFor: ['perCustomer'],
          basePath: '/api',
          openApi: {
            title: 'Shop',
            version: '7',
            description: '*Orders*',
            securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
          },
        }),
    ],
    [
      'with names that need escapes in paths and schemas',
      () => {
        const odd = defineAggregate({
          type: 'ödd',
          events: { 'wo rd': z.object({ a: z.string() }) },
          commands: { 'do {it}': z.object({ a: z.string() }), 'do [it]': z.object({ b: z.string() }), 'a/b': noData },
          initialState: () => ({}),
        }).implement({ handle: { 'do {it}': () => {}, 'do [it]': () => {}, 'a/b': () => {} }, apply: { 'wo rd': (s) => s } })
        return openApiDocument(createApp({ store: memoryStore(), aggregates: { 'ö/{d}': odd } }), { authorize: 'none' })
      },
    ],
    [
      'with names that equal those of operations',
      () => {
        const commands = {
          events: noData,
          state: noData,
          ids: noData,
          command: noData,
          load: noData,
          find: noData,
          openapi: noData,
        }
        const nothing = () => undefined
        const handle = {
          events: nothing,
          state: nothing,
          ids: nothing,
          command: nothing,
          load: nothing,
          find: nothing,
          openapi: nothing,
        }
        const odd = (type: string) =>
          defineAggregate({ type, events: {}, commands, initialState: () => ({}) }).implement({ handle, apply: {} })
        const aggregates = { a: odd('a'), 'views.orders': odd('b'), order }
        return openApiDocument(createApp({ store: memoryStore(), aggregates, views: { orders } }), { authorize: 'none' })
      },
    ],
  ])('the OpenAPI document %s is valid and has no dangling references', async (_, make) => {
    const made = make()
    expect(await problemsOf(made)).toBeUndefined()
    for (const reference of referencesIn(made)) at(made, reference)
    const ids = Object.values(made.paths).flatMap((item) => Object.values(item).map(({ operationId }) => operationId))
    expect([ids.includes(undefined), new Set(ids).size]).toEqual([false, ids.length])
    expect(JSON.parse(JSON.stringify(made))).toEqual(made)
  })

  test('the handler serves the OpenAPI document', async () => {
    const { status, headers, body } = await asking(createHandler(shop, { authorize: 'none' })).get('/openapi.json')
    expect([status, headers.get('content-type'), body]).toEqual([200, 'application/json', document])
  })

  test('the OpenAPI document describes authorization when authorize is a function', () => {
    const token = { type: 'http', scheme: 'bearer' }
    const authorize = () => ({ ok: true, caller: undefined }) as const
    const made = openApiDocument(shop, { authorize, openApi: { securitySchemes: { token } } })
    expect([made.security, made.components.securitySchemes]).toEqual([[{ token: [] }], { token }])
    expect(Object.keys(inside(made.paths, '/order/{id}', 'get', 'responses'))).toEqual([
      '200',
      '304',
      '400',
      '401',
      '403',
      '404',
      '412',
      '500',
      '503',
    ])
    expect(Object.keys(inside(document.paths, '/order/{id}', 'get', 'responses'))).not.toContain('401')
  })
})

describe('a command', () => {
  test('a command has the JSON schemas of zod and arktype', () => {
    expect(bodyOf(document, '/order/{id}/Place').required).toBe(true)
    expect(at(document, schemaOf(document, '/order/{id}/Place'))).toEqual({
      type: 'object',
      properties: {
        customer: { type: 'string', minLength: 1, maxLength: 50 },
        total: { type: 'number', minimum: 0, maximum: 1_000_000 },
      },
      required: ['customer', 'total'],
    })
    const tag = at(document, schemaOf(document, '/order/{id}/Tag'))
    expect(tag).toMatchObject({ properties: { tag: { type: 'string', minLength: 1, maxLength: 20 } } })
  })

  test('a command whose schema has no JSON schema takes anything', () => {
    for (const path of ['/order/{id}/Note', '/order/{id}/Rate']) expect(schemaOf(document, path)).toEqual({})
  })

  test('a command without data takes an empty object, so that its content type is sent', () => {
    expect(bodyOf(document, '/order/{id}/Cancel')).toEqual({
      required: true,
      content: { 'application/json': { schema: { type: 'object', maxProperties: 0 } } },
    })
  })

  test('a command in the body is one of all commands', () => {
    const { oneOf } = schemaOf(document, '/order/{id}') as { oneOf: object[] }
    expect(oneOf).toHaveLength(7)
    expect(oneOf[0]).toMatchObject({
      required: ['type', 'data'],
      properties: { type: { const: 'Place' } },
      additionalProperties: false,
    })
    expect(oneOf[4]).toMatchObject({ required: ['type'], properties: { type: { const: 'Cancel' } } })
  })
})

test('a command has its id first, and Prefer when waitFor is set', () => {
  const parametersOf = (made: OpenApiDocument) =>
    (inside(made.paths, '/order/{id}/Place', 'post').parameters as { name: string }[]).map(({ name }) => name)
  expect(parametersOf(document)).toEqual(['id', 'Idempotency-Key', 'If-Match', 'If-None-Match'])
  expect(parametersOf(openApiDocument(shop, { authorize: 'none', waitFor: ['perCustomer'] }))).toContain('Prefer')
})

test('a state has parameters for conditional requests', () => {
  const names = (inside(document.paths, '/order/{id}', 'get').parameters as { name: string }[]).map(({ name }) => name)
  expect(names).toEqual(['id', 'asOf', 'If-Match', 'If-None-Match'])
})

test('the answer to a command requires only what its caller may read', () => {
  const required = (made: OpenApiDocument) => {
    const content = inside(made.paths, '/order/{id}/Place', 'post', 'responses', '200', 'content', 'application/json')
    return inside(content, 'schema').required
  }
  expect(required(document)).toEqual(['sequence', 'replayed', 'events', 'state'])
  const closed = openApiDocument(shop, { authorize: () => ({ ok: true, caller: undefined }) })
  expect(required(closed)).toEqual(['sequence', 'replayed'])
})

test('an event has the schema of its current version', () => {
  const { oneOf } = inside(document.components, 'schemas', 'order.Event') as { oneOf: object[] }
  const dataOf = (type: string) => {
    const properties = oneOf.map((one) => inside(one, 'properties')).find((one) => inside(one, 'type').const === type)
    return properties?.data
  }
  expect(at(document, dataOf('Rated'))).toMatchObject({ properties: { stars: { type: 'integer' } } })
  expect(dataOf('Cancelled')).toBeUndefined()
})

describe('a schema', () => {
  const withCommand = (schema: StandardSchema) => {
    const one = defineAggregate({ type: 'one', events: {}, commands: { Do: schema }, initialState: () => ({}) })
    const aggregate = one.implement({ handle: { Do: () => {} }, apply: {} })
    return openApiDocument(createApp({ store: memoryStore(), aggregates: { one: aggregate } }), { authorize: 'none' })
  }
  const path = '/one/{id}/Do'

  test('a schema that refers to itself does so in the document', async () => {
    const folder = z.object({
      name: z.string(),
      get folders() {
        return z.array(folder)
      },
    })
    const made = withCommand(folder)
    const schema = schemaOf(made, path)
    expect(at(made, schema)).toMatchObject({ properties: { folders: { items: schema } } })
    expect(await problemsOf(made)).toBeUndefined()
  })

  test('a schema with definitions of its own brings them along', async () => {
    const node = z.object({
      value: z.string(),
      get next() {
        return z.union([node, z.null()])
      },
    })
    const made = withCommand(z.object({ first: node }))
    for (const reference of referencesIn(made)) at(made, reference)
    const written = at(made, schemaOf(made, path))
    expect(at(made, inside(written, 'properties', 'first'))).toMatchObject({ properties: { value: { type: 'string' } } })
    expect(JSON.stringify(made)).not.toContain('$schema')
    expect(await problemsOf(made)).toBeUndefined()
  })

  test('a schema keeps its references in fields that are named like a keyword', async () => {
    const node = z.object({
      value: z.string(),
      get next() {
        return z.union([node, z.null()])
      },
    })
    const made = withCommand(
      z.object({ default: node, const: node, enum: node, example: node, examples: node, properties: node, $defs: node }),
    )
    for (const reference of referencesIn(made)) at(made, reference)
    expect(JSON.stringify(made)).not.toContain('#/$defs')
    expect(await problemsOf(made)).toBeUndefined()
  })

  test('a schema keeps its data and its fields that are named like a reference', () => {
    const made = withCommand(
      z.object({
        $ref: z.literal('#/$defs/x'),
        pick: z.enum(['#', '#/a']),
        texts: z.record(z.string(), z.string()).default({ $ref: '#/$defs/x' }),
      }),
    )
    const { properties } = at(made, schemaOf(made, path))
    expect(properties).toMatchObject({
      $ref: { const: '#/$defs/x' },
      pick: { enum: ['#', '#/a'] },
      texts: { default: { $ref: '#/$defs/x' } },
    })
  })

  test('a schema that JSON Schema cannot express takes anything', () => {
    for (const schema of [z.object({ on: z.date() }), z.object({ big: z.bigint() })])
      expect(schemaOf(withCommand(schema), path)).toEqual({})
    const made = withCommand(type({ on: 'Date' }))
    expect(at(made, schemaOf(made, path))).toMatchObject({ properties: { on: {} } })
  })
})

test('a view has a parameter of its type for each index and for its ranges', () => {
  const parametersOf = (path: string) =>
    inside(document.paths, path, 'get').parameters as { name: string; schema: { type?: string } }[]
  const kinds = Object.fromEntries(parametersOf('/views/orders').map(({ name, schema }) => [name, schema.type ?? 'enum']))
  expect(kinds).toMatchObject({
    customer: 'string',
    total: 'number',
    'total.gte': 'number',
    isOpen: 'boolean',
    cancelledOn: 'string',
    limit: 'integer',
    after: 'string',
    orderBy: 'enum',
  })
  expect(parametersOf('/views/perCustomer').map(({ name }) => name)).toEqual(['limit', 'after', 'Last-Event-ID'])
})
