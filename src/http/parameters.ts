import { maxNameLength } from '../util/names.ts'

/** Parts of the operations in the document. */
export const wholeNumber = { type: 'integer', minimum: 0, maximum: 999_999_999_999_999 }
export const json = (schema: object) => ({ 'application/json': { schema } })
export const operation = (operationId: string, summary: string, tag: string) => ({ operationId, summary, tags: [tag] })
export const queryParameter = (name: string, schema: object, description?: string) => ({
  name,
  in: 'query',
  schema,
  ...(description === undefined ? {} : { description }),
})
export const headerParameter = (name: string, schema: object, description: string) => ({
  name,
  in: 'header',
  schema,
  description,
})

const name = { type: 'string', minLength: 1, maxLength: maxNameLength }
export const idParameter = { name: 'id', in: 'path', required: true, schema: name }
export const limitParameter = queryParameter(
  'limit',
  { type: 'integer', minimum: 1, maximum: 1_000 },
  'Maximum number of items. Default 100.',
)
export const afterParameter = queryParameter('after', { type: 'string' }, 'The `next` of the previous page.')
export const etagHeader = { schema: { type: 'string' }, description: 'ETag of the state at this sequence, for If-Match.' }

/** Request headers of a read of a state. */
export const conditionParameters = [
  headerParameter('If-Match', { type: 'string' }, 'Only if the state has this ETag.'),
  headerParameter('If-None-Match', { type: 'string' }, 'Only if the state does not have this ETag.'),
]

/** Parameters of every command. */
export const commandParameters = (canWait: boolean) => [
  idParameter,
  headerParameter('Idempotency-Key', name, 'Repeating a command with the same key stores it once.'),
  headerParameter('If-Match', { type: 'string' }, 'Only if the state still has this ETag.'),
  headerParameter('If-None-Match', { const: '*' }, 'Only if the aggregate has no events yet.'),
  ...(canWait
    ? [
        headerParameter(
          'Prefer',
          { type: 'string', examples: ['wait=5'] },
          'Respond when views show it, or after 5 s (at most 60 s).',
        ),
      ]
    : []),
]

export const stateSchema = {
  type: 'object',
  required: ['id', 'sequence', 'state'],
  properties: { id: { type: 'string' }, sequence: { ...wholeNumber, minimum: 1 }, state: {} },
}

export const pageOf = (items: object, next: object = { type: 'string' }) => ({
  type: 'object',
  required: ['items'],
  properties: { items: { type: 'array', items }, next: { ...next, description: 'There may be more: pass it as `after`.' } },
})
