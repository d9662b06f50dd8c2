import { abortable } from './abort.ts'

/** Lets callers in one at a time, in the order in which they came. */
export class Turns {
  #isTaken = false
  /** Callers that had a turn and try again. They go before the others. */
  #again: (() => void)[] | undefined
  #first: (() => void)[] | undefined

  get isTaken(): boolean {
    return this.#isTaken
  }

  /**
   * Takes the turn at once, or else returns a promise that resolves when the caller has it.
   *
   * The wait ends with the reason of `signal` when it aborts.
   */
  take(signal: AbortSignal | undefined, isAgain: boolean): Promise<void> | undefined {
    if (!this.#isTaken) {
      this.#isTaken = true
      return undefined
    }
    if (isAgain) this.#again ??= []
    else this.#first ??= []
    const line = (isAgain ? this.#again : this.#first) as (() => void)[]
    return abortable(signal, (start) => {
      line.push(start)
      return () => line.splice(line.indexOf(start), 1)
    })
  }

  /** Ends the caller's turn. */
  pass(): void {
    const next = this.#again?.shift() ?? this.#first?.shift()
    if (next === undefined) this.#isTaken = false
    else next()
  }
}
