import { checkConsumerName, checkStoredAs, type Machinery } from '../consumers/definitions.ts'
import { DefinitionError } from '../errors.ts'
import { parserOf } from '../evolution/schema.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import { checkAggregateTypes, checkFrom, checkPartitions, policyOf } from '../subscriptions/definition.ts'
import { isObject } from '../util/json.ts'
import { checkFunction, checkName, checkOptions, checkWholeNumber } from '../util/options.ts'
import type { Contract, PublicationDefinition } from './publication-definition.ts'
import { checkTarget } from './target.ts'

const optionNames = ['name', 'aggregates', 'source', 'from', 'events', 'onFailure', 'timeoutMs', 'partitions']

interface Options {
  readonly name: string
  readonly aggregates: unknown
  readonly source: unknown
  readonly from: unknown
  readonly events: unknown
  readonly onFailure?: unknown
  readonly timeoutMs?: unknown
  readonly partitions?: unknown
}

/** A target that refuses one message for an hour will hardly take it later. */
// biome-ignore lint/suspicious/noThenProperty: the option of a subscription
const defaultPolicy = { retry: { forMs: 3_600_000 }, then: 'park' }

/** Checks the options. Returns a function that adds the target. @throws DefinitionError */
export function buildPublication(options: Options, machinery: Machinery<PublicationDefinition>) {
  checkOptions('definePublication', options, optionNames)
  const { name, aggregates: given, source, from, timeoutMs = 60_000, partitions = 1 } = options
  checkName('The name of a publication', name)
  const at = `Publication '${name}'`
  if (!Array.isArray(given)) throw new DefinitionError(`${at}: aggregates must be a list.`)
  const aggregates = given.map((aggregate: unknown, i) => definitionOf(`${at}: aggregates[${i}]`, aggregate))
  const aggregateTypes = aggregates.map(({ type }) => type)
  checkAggregateTypes(at, aggregateTypes)
  // A URI reference has no spaces.
  if (typeof source !== 'string' || !/^\S+$/.test(source))
    throw new DefinitionError(`${at}: source must be a URI reference such as '/shop/orders', not ${JSON.stringify(source)}.`)
  if (from === undefined)
    throw new DefinitionError(`${at} needs the option from: 'beginning' publishes all past events, 'now' none of them.`)
  checkFrom(at, from)
  const events = contractsOf(at, options.events, new Set(aggregates.flatMap((one) => [...one.events.keys()])))
  const onFailure = policyOf(at, options.onFailure ?? defaultPolicy)
  checkWholeNumber(`${at}: timeoutMs`, timeoutMs, 1)
  checkPartitions(at, partitions)
  return (target: unknown, chosen: { readonly storedAs?: unknown } = {}): PublicationDefinition => {
    const to = `${at}: to(target)`
    checkTarget(to, target)
    checkOptions(to, chosen, ['storedAs'])
    const { storedAs = `${name}/${target.name}` } = chosen
    checkStoredAs(`${to}: storedAs`, storedAs)
    checkConsumerName(to, storedAs)
    return {
      kind: 'publication',
      name: `${name} to ${target.name}`,
      contract: name,
      storedAs,
      aggregateTypes,
      source,
      from,
      onFailure,
      timeoutMs: timeoutMs as number,
      partitions: partitions as number,
      events,
      target,
      machinery,
    }
  }
}

function contractsOf(at: string, events: unknown, known: ReadonlySet<string>): ReadonlyMap<string, Contract> {
  if (!isObject(events) || Array.isArray(events) || Object.keys(events).length === 0)
    throw new DefinitionError(`${at}: events must name at least one event: { OrderPlaced: { type, data, map } }.`)
  return new Map(
    Object.entries(events).map(([event, contract]) => {
      if (!known.has(event))
        throw new DefinitionError(
          `${at}: events has '${event}', but none of its aggregates has such an event. Their events: ${[...known].join(', ')}.`,
        )
      return [event, contractOf(`${at}: events.${event}`, contract)]
    }),
  )
}

function contractOf(what: string, contract: unknown): Contract {
  checkOptions(what, contract, ['type', 'data', 'map', 'subject'])
  const { type, data, map, subject } = contract as Record<keyof Contract | 'data', unknown>
  checkName(`${what}: type`, type)
  const parser = parserOf(data)
  if (parser === undefined)
    throw new DefinitionError(`${what}: data must be a schema (any Standard Schema), typed<T>() or noData.`)
  checkFunction(`${what}: map`, map)
  if (subject !== undefined) checkFunction(`${what}: subject`, subject)
  return { type, parser, map: map as Contract['map'], subject: subject as Contract['subject'] }
}
