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

  /** @throws OverloadedError */
  async run<T>(
    { aggregateId, command }: { readonly aggregateId: string; readonly command: { readonly type: string } },
    task: () => Promise<T>,
  ): Promise<T> {
    if (this.#inside >= this.#max)
      throw new OverloadedError(
        `${command.type} on '${aggregateId}' was turned away: ${this.#inside} commands of this app are under way, as many as batching.maxQueued allows. Nothing was stored; try again later.`,
      )
    this.#inside++
    try {
      return await task()
    } finally {
      this.#inside--
    }
  }
}
