import { ValidationError } from '../errors.ts'
import { asyncScope } from '../util/async-scope.ts'
import type { ConsumerCore } from './core.ts'

/** Distinguishes the apps of a program. */
type OfApp = Pick<ConsumerCore, 'pulse'>

const scope = asyncScope<HandlerCall>()
let inFlight = 0

/** A handler in flight: calls inside it must not wait for its end. */
export class HandlerCall {
  readonly #app: OfApp['pulse']
  readonly #title: string
  /** The handler around it, if this process nests handlers. */
  readonly #outer: HandlerCall | undefined
  #isOver = false

  constructor({ pulse }: OfApp, title: string) {
    this.#app = pulse
    this.#title = title
    this.#outer = scope.getStore()
    inFlight++
  }

  run<R>(handler: () => R): R {
    return scope.run(this, handler)
  }

  /** Ends the call: nothing waits for the handler any more, whether it has ended or not. */
  end(): void {
    this.#isOver = true
    inFlight--
  }

  /**
   * Disables the scope while no handler runs: on some platforms it slows down every promise of the
   * process.
   */
  static rest(): void {
    if (inFlight === 0) scope.disable()
  }

  /**
   * Returns the consumer whose handler makes the current call; with `title`, only that consumer.
   */
  static titleAround({ pulse }: OfApp, title?: string): string | undefined {
    for (let call = scope.getStore(); call !== undefined; call = call.#outer)
      if (!call.#isOver && call.#app === pulse && (title === undefined || call.#title === title)) return call.#title
    return undefined
  }
}

/**
 * Refuses a call that would wait for its own handler. With `title`, only for that consumer.
 *
 * @throws ValidationError
 */
export function refuseInHandler(app: OfApp, method: string, title?: string): void {
  const around = HandlerCall.titleAround(app, title)
  if (around === undefined) return
  const consumer = around[0]?.toLowerCase() + around.slice(1)
  throw new ValidationError(
    `${method} was called in a handler of ${consumer} and would wait for that handler forever. Nothing was done. Remove the call: events that a handler causes are processed after it ends.`,
  )
}
