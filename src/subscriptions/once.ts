import type { Results } from '../consumers/processor.ts'
import { DefinitionError, ValidationError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import { sha256 } from '../util/digest.ts'
import { deepFreeze, jsonProblem, toJson } from '../util/json.ts'
import { refusing } from '../util/refusing.ts'
import type { SubscriptionDefinition } from './definition.ts'

/** Longest JSON of the results of an event, which each save of the progress writes until it has passed. */
const longestResults = 20_000
const longestName = 100

/** Calls `act`, or returns the stored result of an earlier call. */
type Once = (name: string, act: (key: string) => unknown) => Promise<unknown>

/** Place of the results of an event; absent in a test without a store. */
interface Stored {
  readonly event: StoredEvent
  readonly results: Results
}

/** The calls of `once` in one call of a handler. */
export class OnceCalls {
  readonly #subscription: Pick<SubscriptionDefinition, 'name' | 'storedAs'>
  readonly #eventId: string
  readonly #stored: Stored | undefined
  readonly #calls = new Map<string, Promise<unknown>>()
  /** Stores of results run one after another. */
  #storing: Promise<void> = Promise.resolve()
  #isOver = false
  #failure: { readonly error: unknown } | undefined

  constructor(subscription: Pick<SubscriptionDefinition, 'name' | 'storedAs'>, { id }: EventEnvelope, stored?: Stored) {
    this.#subscription = subscription
    this.#eventId = id
    this.#stored = stored
  }

  /** Why a result was not stored, even if the handler has caught the error. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure
  }

  /** Waits for the result that is being stored. Later results are not stored. */
  async end(): Promise<void> {
    this.#isOver = true
    await this.#storing
  }

  readonly once: Once = async (name, act) => {
    const at = `The handler of '${this.#subscription.name}' calls once`
    if (typeof name !== 'string' || name === '' || name.length > longestName)
      throw new DefinitionError(`${at} with a name that is not a text of 1–${longestName} characters.`)
    if (typeof act !== 'function') throw new DefinitionError(`${at} for '${name}' without a function.`)
    if (this.#isOver) throw new DefinitionError(`${at} for '${name}' after it has ended. Await all calls in the handler.`)
    const before = this.#calls.get(name)
    if (before !== undefined) return before
    const call = this.#call(name, act)
    this.#calls.set(name, call)
    // The handler may repeat a failed call.
    call.catch(() => this.#calls.delete(name))
    return call
  }

  async #call(name: string, act: (key: string) => unknown): Promise<unknown> {
    const key = await this.#keyOf(name)
    const stored = this.#resultsSoFar()[key]
    if (stored !== undefined) return deepFreeze(stored.value)
    const at = `once('${name}') of '${this.#subscription.name}'`
    const value = jsonResult(at, await act(key))
    const result = value === undefined ? {} : { value }
    const { length } = JSON.stringify({ ...this.#resultsSoFar(), [key]: result })
    if (length > longestResults)
      throw new ValidationError(
        `${at} was not stored: the results of the event would be ${length} characters of JSON, and the limit is ${longestResults}. Return only what a later delivery needs, such as an id.`,
      )
    await this.#store(key, result)
    return deepFreeze(value)
  }

  /** Returns the key of a call, which is the same in each delivery of the event. */
  async #keyOf(name: string): Promise<string> {
    const key = `${this.#subscription.storedAs}/${this.#eventId}/${name}`
    return key.length > 180 ? sha256(key) : key
  }

  #resultsSoFar() {
    return this.#stored?.results.of(this.#stored.event) ?? {}
  }

  #store(key: string, result: { readonly value?: unknown }): Promise<void> {
    const storing = this.#storing.then(async () => {
      if (this.#isOver) throw new Error('The handler has ended.')
      try {
        await this.#stored?.results.store(this.#stored.event, key, result)
      } catch (error) {
        this.#failure ??= { error }
        throw error
      }
    })
    this.#storing = storing.catch(() => {})
    return storing
  }
}

/** @throws ValidationError */
function jsonResult(at: string, result: unknown): unknown {
  if (result === undefined) return undefined
  try {
    return toJson(result)
  } catch (error) {
    throw refusing(new ValidationError(`${at} returned a result that is not JSON: ${jsonProblem(error)}.`), result)
  }
}
