import { DefinitionError } from '../errors.ts'
import type { Accepted, Rejected } from './result.ts'

/**
 * Key of the delivery in the options that `reaction()` returns. A spread keeps it, and all copies
 * of the package share it.
 */
const scopeKey = Symbol.for('cqrs-es.delivery')

/** The commands that one call of a handler has sent. Each of its keys is for one command. */
export class DeliveryScope {
  readonly #subscription: string
  readonly #used = new Set<string>()
  #misuse: DefinitionError | undefined

  constructor(subscription: string) {
    this.#subscription = subscription
  }

  /** The first mistake of the handler, even if it has caught the error. */
  get misuse(): DefinitionError | undefined {
    return this.#misuse
  }

  /** Notes a mistake, and returns it. */
  blame(problem: string): DefinitionError {
    const error = new DefinitionError(`The handler of '${this.#subscription}' ${problem}`)
    this.#misuse ??= error
    return error
  }

  /**
   * Takes a key for a command to an aggregate.
   *
   * @throws DefinitionError when an earlier command of the delivery has it
   */
  use(aggregateType: string, aggregateId: string, idempotencyKey: string): void {
    const place = placeOf(aggregateType, aggregateId, idempotencyKey)
    if (this.#used.has(place))
      throw this.blame(
        `uses the same reaction() for two commands to ${aggregateType} '${aggregateId}'. The second would count as a repeat of the first, and not be stored. Give each a name: reaction('…').`,
      )
    this.#used.add(place)
  }

  /** Makes a key usable again under which nothing was stored. */
  giveBack(aggregateType: string, aggregateId: string, idempotencyKey: string): void {
    this.#used.delete(placeOf(aggregateType, aggregateId, idempotencyKey))
  }
}

const placeOf = (...key: readonly string[]): string => JSON.stringify(key)

/** Options of a command with the delivery that they are of. */
export const inScope = <O extends object>(options: O, scope: DeliveryScope): O => ({ ...options, [scopeKey]: scope })

/** The same as a caller wrote them. */
export const withoutScope = <O extends object>(options: O): O => {
  const { [scopeKey]: _, ...own } = options as O & { readonly [scopeKey]?: DeliveryScope }
  return own as unknown as O
}

/**
 * Executes a command of a handler unless an earlier command of the delivery has its key. A command
 * that stores nothing leaves its key to the next.
 *
 * @throws DefinitionError
 */
export function oncePerDelivery<R extends Accepted | Rejected>(
  options: object | undefined,
  aggregateType: string,
  call: { readonly aggregateId: string; readonly idempotencyKey: string | undefined },
  run: () => Promise<R>,
  isStored: (result: R) => boolean = (result) => result.ok && (result.replayed || result.events.length > 0),
): Promise<R> {
  const scope = (options as { readonly [scopeKey]?: DeliveryScope } | undefined)?.[scopeKey]
  const { aggregateId, idempotencyKey } = call
  if (scope === undefined || idempotencyKey === undefined) return run()
  return runOnce(scope, [aggregateType, aggregateId, idempotencyKey], run, isStored)
}

async function runOnce<R>(
  scope: DeliveryScope,
  key: readonly [aggregateType: string, aggregateId: string, idempotencyKey: string],
  run: () => Promise<R>,
  isStored: (result: R) => boolean,
): Promise<R> {
  scope.use(...key)
  let stored = false
  try {
    const result = await run()
    stored = isStored(result)
    return result
  } finally {
    if (!stored) scope.giveBack(...key)
  }
}
