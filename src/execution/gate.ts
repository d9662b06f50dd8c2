import { OverloadedError } from '../errors.ts'

/** Lets so many in at once, and turns away the others: better a clear answer now than one that comes too late. */
export class Gate {
  readonly #max: number
  #inside = 0

  constructor(max: number) {
    this.#max = max
  }

  /** How many are in now. */
  get inside(): number {
    return this.#inside
  }

  /** Must be followed by `leave`, whatever happens. @throws OverloadedError */
  enter({ aggregateId, command }: { readonly aggregateId: string; readonly command: { readonly type: string } }): void {
    if (this.#inside >= this.#max)
      throw new OverloadedError(
        `${command.type} on '${aggregateId}' was turned away: ${this.#inside} commands of this app are under way, as many as batching.maxQueued allows. Nothing was stored; try again later.`,
      )
    this.#inside++
  }

  leave(): void {
    this.#inside--
  }
}
