import type { AppParts } from '../app.ts'
import { DefinitionError } from '../errors.ts'
import { Schemas } from '../evolution/json-schemas.ts'
import type { Parser } from '../evolution/schema.ts'
import { isObject } from '../util/json.ts'
import { checkOptions } from '../util/options.ts'
import { structuredType } from './headers.ts'
import { checkText } from './options.ts'

/** The part of `info` in an AsyncAPI document. */
export interface AsyncApiInfo {
  readonly title: string
  /** Version of the document. */
  readonly version: string
  readonly description?: string
}

/** An AsyncAPI document, version 3.0. */
export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0'
  readonly info: AsyncApiInfo
  readonly defaultContentType: string
  readonly channels: Readonly<Record<string, object>>
  readonly operations: Readonly<Record<string, object>>
  readonly components: { readonly messages: Readonly<Record<string, object>>; readonly schemas: Readonly<Record<string, object>> }
}

/**
 * Describes the publications and inboxes of an app as an AsyncAPI 3.0 document.
 *
 * Each publication and each inbox is a channel. Messages are described as CloudEvents in structured
 * mode. Data schemas are those of libraries with Standard JSON Schema, such as zod; `typed` data is any value. Commit
 * the document: a test that compares it finds changes of the contract.
 *
 * @throws DefinitionError for an app that `createApp` did not make, and a wrong `info`
 *
 * @example
 * ```ts
 * import { createApp } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 * import { asyncApi } from 'cqrs-es/messaging'
 *
 * const app = createApp({ store: memoryStore(), aggregates: {} }) // with publications and inboxes
 * console.log(JSON.stringify(asyncApi(app, { title: 'Shop', version: '1.0.0' }), null, 2))
 * ```
 */
export function asyncApi(app: object, info: AsyncApiInfo): AsyncApiDocument {
  const parts = (app as { readonly '~parts'?: AppParts })['~parts']
  if (parts === undefined) throw new DefinitionError('asyncApi: the first argument must be an app made by createApp(…).')
  checkOptions('asyncApi: info', info, ['title', 'version', 'description'])
  checkText('asyncApi: info: title', info.title)
  checkText('asyncApi: info: version', info.version)
  return new Document(info).describe(parts)
}

class Document {
  readonly #info: AsyncApiInfo
  readonly #schemas = new Schemas({}, 'draft-07')
  readonly #messages: Record<string, object> = {}
  readonly #channels: Record<string, object> = {}
  readonly #operations: Record<string, object> = {}

  constructor(info: AsyncApiInfo) {
    this.#info = info
  }

  describe({ publications, inboxes }: AppParts): AsyncApiDocument {
    for (const [key, { contract, source, target, events }] of publications) {
      const types = new Map([...events.values()].map(({ type, parser }) => [type, parser]))
      const names = [...types].map(([type, parser]) => this.#message(contract, type, parser, 'output', source))
      this.#add(key, 'send', `Publication '${contract}' to ${target.name}.`, names)
    }
    for (const [key, { name, messages, sources }] of inboxes) {
      const from = sources === undefined ? undefined : [...sources]
      const names = [...messages].map(([type, parser]) => this.#message(name, type, parser, 'input', from))
      this.#add(key, 'receive', `Inbox '${name}'.`, names)
    }
    return {
      asyncapi: '3.0.0',
      info: this.#info,
      defaultContentType: structuredType,
      channels: this.#channels,
      operations: this.#operations,
      components: { messages: this.#messages, schemas: this.#schemas.all() },
    }
  }

  #add(key: string, action: 'send' | 'receive', description: string, names: readonly string[]): void {
    const channel = keyOf(`${action}-${key}`)
    const messages = Object.fromEntries(names.map((name) => [name, { $ref: `#/components/messages/${name}` }]))
    // The address of a queue or topic belongs to the deployment.
    this.#channels[channel] = { address: null, description, messages }
    this.#operations[channel] = {
      action,
      channel: { $ref: `#/channels/${channel}` },
      messages: names.map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` })),
    }
  }

  /** Adds a message, once. Returns its name. */
  #message(
    of: string,
    type: string,
    parser: Parser,
    direction: 'input' | 'output',
    source: string | readonly string[] | undefined,
  ): string {
    const name = keyOf(`${of}.${type}`)
    if (Object.hasOwn(this.#messages, name)) return name
    const data = this.#schemas[direction](`${name}.data`, parser)
    const properties = {
      specversion: { const: '1.0' },
      id: text,
      source: source === undefined ? text : isObject(source) ? { enum: source } : { const: source },
      type: { const: type },
      subject: text,
      time: { type: 'string', format: 'date-time' },
      datacontenttype: text,
      ...(direction === 'output' && { partitionkey: text, sequence: text }),
      correlationid: text,
      causationid: text,
      traceparent: text,
      data,
    }
    const payload = { type: 'object', required: ['specversion', 'id', 'source', 'type', 'data'], properties }
    this.#messages[name] = { name: type, title: type, contentType: structuredType, payload }
    return name
  }
}

const text = { type: 'string', minLength: 1 }

/** AsyncAPI allows letters, digits, `.`, `_` and `-`. */
const keyOf = (name: string): string => name.replace(/[^A-Za-z0-9._-]/g, '_')
