import { isCqrsError } from '../errors.ts'

/**
 * Reads requests together: those of one turn, and those that wait while `lanes` calls are in
 * flight.
 *
 * A cold command reads its aggregate. With a call for each, the database would spend most of its
 * time on the calls.
 */
export class GatheredReads<Q, A> {
  readonly #read: (requests: readonly Q[]) => Promise<readonly (() => A)[]>
  readonly #waiting: Waiting<Q, A>[] = []
  #inFlight = 0

  /**
   * `read` resolves to one function per request, which returns its answer or throws. If there are
   * fewer, the other requests are read with the next ones.
   */
  constructor(read: (requests: readonly Q[]) => Promise<readonly (() => A)[]>) {
    this.#read = read
  }

  read(request: Q): Promise<A> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject })
      if (this.#waiting.length === 1 && this.#inFlight < lanes) queueMicrotask(() => this.#send())
    })
  }

  #send(): void {
    while (this.#inFlight < lanes && this.#waiting.length > 0) {
      this.#inFlight++
      this.#answer(this.#waiting.splice(0, mostRequests)).finally(() => {
        this.#inFlight--
        this.#send()
      })
    }
  }

  /** Never rejects. */
  async #answer(batch: readonly Waiting<Q, A>[]): Promise<void> {
    try {
      const answers = await this.#read(batch.map(({ request }) => request))
      batch.forEach((one, at) => {
        const answer = answers[at]
        if (answer === undefined) return
        try {
          one.resolve(answer())
        } catch (error) {
          one.reject(error)
        }
      })
      this.#waiting.unshift(...batch.slice(answers.length))
    } catch (error) {
      if (batch.length === 1 || !mayBeOfOne(error)) {
        for (const { reject } of batch) reject(error)
        return
      }
      const half = batch.length >> 1
      await this.#answer(batch.slice(0, half))
      await this.#answer(batch.slice(half))
    }
  }
}

interface Waiting<Q, A> {
  readonly request: Q
  readonly resolve: (answer: A) => void
  readonly reject: (error: unknown) => void
}

/** One call is prepared while the database works on the other. */
const lanes = 2

/** Requests of one call: enough to spread its cost, few enough for the first of them to wait. */
const mostRequests = 100

/** Damaged data, a value that the database refuses, or a timeout. */
const mayBeOfOne = (error: unknown): boolean =>
  (['STORE_CORRUPT', 'STORE_FAILED', 'STORE_LIMIT', 'STORE_BUSY'] as const).some((code) => isCqrsError(error, code))
