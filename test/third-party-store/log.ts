import { StoreError } from 'cqrs-es/store'
import type { Kv, KvItem } from './kv.ts'
import { type Change, type Request, State } from './state.ts'

/**
 * The log of requests, one key per request: `log/0000000000000001` and so on. Whoever creates the next key has made its request the next
 * one for everybody; whoever does not reads on and tries the key behind it. What came of a request is found by reading up to it.
 */
export class Log {
  readonly #kv: Kv
  readonly #state = new State()
  #length = 0
  #lastTurn: Promise<unknown> = Promise.resolve()

  constructor(kv: Kv) {
    this.#kv = kv
  }

  /** Looks at the state as of now. The answer is a copy. */
  read<T>(look: (state: State) => T): Promise<T> {
    return this.#inTurn(async () => {
      await this.#catchUp()
      return structuredClone(look(this.#state))
    })
  }

  /** Puts a request into the log and gives what came of it, also a copy. */
  change<C extends Change>(change: C, request: Request<C>): Promise<ReturnType<State[C]>> {
    return this.#inTurn(async () => {
      const entry = JSON.stringify([change, request])
      do await this.#catchUp()
      while (!(await this.#kv.create(keyOf(this.#length + 1), entry)))
      const [own] = await this.#kv.list(keyOf(this.#length), 1)
      return structuredClone(this.#apply(own as KvItem)) as ReturnType<State[C]>
    })
  }

  async #catchUp(): Promise<void> {
    for (let more = true; more; ) {
      const items = await this.#kv.list(keyOf(this.#length), 100)
      for (const item of items) this.#apply(item)
      more = items.length === 100
    }
  }

  #apply({ key, value, createdAt }: KvItem): unknown {
    const [change, request] = parse(key, value)
    this.#length++
    return this.#state[change](request, createdAt)
  }

  /** One at a time in this client, so that no entry is applied twice. A failure is only the caller's who met it. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(work).catch((cause: unknown) => {
      if (cause instanceof StoreError) throw cause
      throw new StoreError('STORE_UNAVAILABLE', `The key-value store did not answer: ${String(cause)}`, cause)
    })
    this.#lastTurn = turn.catch(() => {})
    return turn
  }
}

const keyOf = (place: number): string => `log/${String(place).padStart(16, '0')}`

function parse(key: string, text: string): [Change, never] {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new StoreError('STORE_CORRUPT', `The entry ${key} is not JSON, and nothing behind it can be read: restore it.`, cause)
  }
}
