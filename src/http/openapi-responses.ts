import type { Schemas } from '../evolution/json-schemas.ts'
import { etagHeader, json } from './parameters.ts'

/** The responses of all operations. */
export class OpenApiResponses {
  readonly #problem: object
  /** Every caller may do everything. */
  readonly isOpen: boolean
  /** Commands can wait for views. */
  readonly canWait: boolean

  constructor(
    schemas: Schemas,
    { authorize, waitFor = [] }: { readonly authorize: unknown; readonly waitFor?: readonly string[] },
  ) {
    this.#problem = schemas.reference('Problem')
    this.isOpen = authorize === 'none'
    this.canWait = waitFor.length > 0
  }

  /** `unique`: the rules of unique values, one of which may be taken. */
  command(accepted: object, unique: readonly string[]): object {
    const waited = { schema: { type: 'string' }, description: 'Maximum time that the command waited for views, if it did.' }
    const headers = { ETag: etagHeader, ...(this.canWait ? { 'Preference-Applied': waited } : {}) }
    const done = { content: json(accepted), headers }
    return {
      200: { description: 'The command was accepted.', ...done },
      ...(this.canWait ? { 202: { description: 'The command was accepted, but views do not show it yet.', ...done } } : {}),
      ...this.#refer(400, ...this.#unauthorized, 409, 412, 413, 415, 422, 500, 503),
      ...(unique.length === 0 ? {} : { 409: this.#taken(unique) }),
    }
  }

  read(schema: object, headers: object = {}, mayBeMissing = false): object {
    const isTagged = 'ETag' in headers
    const isKnown = isTagged ? { 304: { description: 'The client already has this state (If-None-Match).' } } : {}
    return {
      200: { description: 'Success.', content: json(schema), headers },
      ...isKnown,
      ...this.#refer(400, ...this.#unauthorized, ...(mayBeMissing ? [404] : []), ...(isTagged ? [412] : []), 500, 503),
    }
  }

  /** A response that is also available as server-sent events. */
  stream(schema: object, description: string): object {
    const read = this.read(schema) as { readonly 200: { readonly content: object } }
    const events = { 'text/event-stream': { schema: { type: 'string', description } } }
    return { ...read, 200: { ...read[200], content: { ...read[200].content, ...events } } }
  }

  problems(): Record<string, object> {
    const numbers = [400, ...this.#unauthorized, 404, 409, 412, 413, 415, 422, 500, 503]
    const content = { 'application/problem+json': { schema: this.#problem } }
    return Object.fromEntries(numbers.map((status) => [`Problem${status}`, { description: meanings[status], content }]))
  }

  get #unauthorized(): readonly number[] {
    return this.isOpen ? [] : [401, 403]
  }

  #taken(unique: readonly string[]): object {
    const details = { type: 'object', required: ['unique'], properties: { unique: { enum: unique } } }
    const taken = { type: 'object', properties: { reason: { const: 'taken' }, details } }
    return {
      description: `${meanings[409]} Or another aggregate has a unique value (\`reason: 'taken'\`), named in \`details\`; do not retry.`,
      content: { 'application/problem+json': { schema: { allOf: [this.#problem, taken] } } },
    }
  }

  #refer(...numbers: readonly number[]): object {
    return Object.fromEntries(numbers.map((status) => [status, { $ref: `#/components/responses/Problem${status}` }]))
  }
}

const meanings: Readonly<Record<number, string>> = {
  400: 'The request is invalid: see `issues`.',
  401: 'The caller is unknown.',
  403: 'The caller is not allowed to do this.',
  404: 'Not found.',
  409: 'Other writers won the race repeatedly. Nothing was stored; retry.',
  412: 'The sequence has changed since `If-Match`. Nothing was stored or returned.',
  413: 'The command, or the data that it would store, is too large.',
  415: 'Not `application/json`.',
  422: 'The command was rejected: `reason` and `details`. Or its idempotency key was used with a different command: `code`.',
  500: 'A fault of the server.',
  503: 'Temporarily unavailable. Retry with the same `Idempotency-Key`.',
}

/** Problem details, RFC 9457. */
export const problemSchema = {
  type: 'object',
  required: ['title', 'status', 'detail'],
  properties: {
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string', description: 'Code of the error; stable.' },
    reason: { type: 'string', description: 'Reason of the rejection; stable.' },
    details: { description: 'Details of the reason.' },
    issues: {
      type: 'array',
      items: {
        type: 'object',
        required: ['message'],
        properties: { message: { type: 'string' }, path: { type: 'array', items: { type: ['string', 'number'] } } },
      },
    },
    actualSequence: { type: 'integer', description: 'Current sequence, if it is not the expected one.' },
  },
}
