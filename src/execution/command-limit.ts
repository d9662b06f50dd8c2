import { OverloadedError } from '../errors.ts'

/** Bounds the commands in progress: a refusal now is better than an answer that comes too late. */
export class CommandLimit {
  readonly #max: number
  #inside = 0

  constructor(max: number) {
    this.#max = max
  }

  /** The commands in progress. */
  get inside(): number {
    return this.#inside
  }

  /** Must be followed by `leave`, whatever happens. @throws OverloadedError */
  enter({ aggregateId, command }: { readonly aggregateId: string; readonly command: { readonly type: string } }): void {
    if (this.#inside >= this.#max)
      throw new OverloadedError(
        `${command.type} on '${aggregateId}' was refused: ${this.#inside} commands of this app are in progress, as many as batching.maxQueued allows. Nothing was stored. Retry later.`,
      )
    this.#inside++
  }

  leave(): void {
    this.#inside--
  }
}
