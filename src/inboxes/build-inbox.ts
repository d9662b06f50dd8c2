import { DefinitionError } from '../errors.ts'
import { type Parser, parserOf } from '../evolution/schema.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import { isObject } from '../util/json.ts'
import { checkFunction, checkName, checkOptions } from '../util/options.ts'
import type { InboxDefinition } from './inbox-definition.ts'

/** An inbox that cannot be opened yet. */
export type ClosedInbox = Omit<InboxDefinition, 'open'>

type Declared = Omit<ClosedInbox, 'mappings'>

/** @throws DefinitionError */
export function checkInboxOptions(options: object): Declared {
  checkOptions('defineInbox', options, ['name', 'messages', 'sends', 'sources'])
  const { name, messages, sends, sources } = options as Readonly<Record<string, unknown>>
  checkName('The name of an inbox', name)
  const at = `Inbox '${name}'`
  if (!isObject(messages) || Array.isArray(messages) || Object.keys(messages).length === 0)
    throw new DefinitionError(`${at}: messages must name at least one message: { 'com.psp.captured.v1': schema }.`)
  const parsers = Object.entries(messages).map(([type, shape]): [string, Parser] => {
    const parser = parserOf(shape)
    if (parser !== undefined) return [type, parser]
    throw new DefinitionError(`${at}: messages['${type}'] must be a schema (any Standard Schema), typed<T>() or noData.`)
  })
  if (!Array.isArray(sends) || sends.length === 0) throw new DefinitionError(`${at}: sends must name at least one aggregate.`)
  if (sources !== undefined && !(Array.isArray(sources) && sources.every((source) => typeof source === 'string')))
    throw new DefinitionError(`${at}: sources must be a list of texts.`)
  return {
    kind: 'inbox',
    name,
    storedAs: name,
    messages: new Map(parsers),
    sources: sources && new Set(sources as string[]),
    sends: sends.map((aggregate, i) => definitionOf(`${at}: sends[${i}]`, aggregate).type),
  }
}

/** Adds the mappings. @throws DefinitionError */
export function buildInbox(
  declared: Declared,
  mappings: object,
  openerOf: (inbox: ClosedInbox) => InboxDefinition['open'],
): InboxDefinition {
  const at = `Inbox '${declared.name}': implement`
  const types = [...declared.messages.keys()]
  checkOptions(at, mappings, types)
  const found = types.map((type): [string, never] => {
    const mapping: unknown = (mappings as Record<string, unknown>)[type]
    checkFunction(`${at}: '${type}'`, mapping)
    return [type, mapping as never]
  })
  const closed: ClosedInbox = { ...declared, mappings: new Map(found) }
  return { ...closed, open: openerOf(closed) }
}
