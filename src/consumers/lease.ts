import type { LeaseAnswer } from '../store/consumer.ts'
import { whenAborted } from '../util/abort.ts'
import { Countdown } from '../util/countdown.ts'
import type { ConsumerCore, RunRequest } from './core.ts'
import type { CheckpointCommit, Effects, Saved, Turn } from './processor.ts'
import { savedOr } from './rows.ts'

/** Another process has the lease: work in flight must have no effect any more. */
export class LeaseLost extends Error {}

/** A held lease with the text of its checkpoint. */
export class Lease {
  readonly name: string
  readonly fence: number
  /** Stored text; `null` before the first save. */
  text: string | null
  /** A write is in an append. */
  isInFlight = false
  readonly #core: ConsumerCore
  #provedAt: number
  #proving: Promise<void> | undefined

  constructor(core: ConsumerCore, name: string, fence: number, text: string | null) {
    this.#core = core
    this.name = name
    this.fence = fence
    this.text = text
    this.#provedAt = core.runtime.now().getTime()
  }

  /** Stores the checkpoint together with the effects. @throws LeaseLost */
  async write(text: string, { rows, transaction }: Effects = {}): Promise<Saved> {
    const { consumerQueue, runtime } = this.#core
    const id = runtime.randomUUID()
    const checkpoint = { name: this.name, fence: this.fence, position: text, expectedPosition: this.text }
    const outcome =
      transaction === undefined
        ? await consumerQueue.send({ id, appends: [], ...(rows && { views: rows }), checkpoint }, this, undefined).outcome
        : await this.#transact({ id, checkpoint }, transaction)
    if (outcome.kind === 'conflict' && outcome.on === 'fence') throw new LeaseLost()
    const saved = savedOr(outcome)
    if (saved === 'saved') this.text = text
    return saved
  }

  async #transact(commit: CheckpointCommit, transaction: NonNullable<Effects['transaction']>) {
    const { runtime } = this.#core
    for (let attempt = 1; ; attempt++) {
      const outcome = await transaction(commit)
      if (outcome.kind !== 'failed') return outcome
      if (outcome.certain || attempt > 5) throw outcome.cause
      await runtime.sleep(50 * 2 ** attempt * runtime.random())
    }
  }

  /** Renews the lease, unless half of its time is still left. @throws LeaseLost */
  async prove({ freshly = false }: { readonly freshly?: boolean } = {}): Promise<void> {
    const age = this.#core.runtime.now().getTime() - this.#provedAt
    // A clock that went back proves nothing either.
    if (!freshly && age >= 0 && age < this.#core.leaseMs / 2) return
    this.#proving ??= this.#renew().finally(() => {
      this.#proving = undefined
    })
    await this.#proving
  }

  async #renew(): Promise<void> {
    const { store, runtime, leaseMs } = this.#core
    const at = runtime.now().getTime()
    if (!(await store.renewLease({ name: this.name, fence: this.fence, ttlMs: leaseMs }))) throw new LeaseLost()
    this.#provedAt = at
  }

  release(): Promise<void> {
    return this.#core.store.releaseLease({ name: this.name, fence: this.fence })
  }
}

/** Reads the checkpoint of a lease that was just acquired. Releases the lease if that fails. */
export async function leaseOf(
  core: ConsumerCore,
  name: string,
  { fence, checkpoint }: Extract<LeaseAnswer, { readonly acquired: true }>,
): Promise<Lease> {
  try {
    const found = checkpoint === undefined ? await core.store.readCheckpoint(name) : checkpoint
    return new Lease(core, name, fence, found?.position ?? null)
  } catch (error) {
    await core.store.releaseLease({ name, fence }).catch(() => {})
    throw error
  }
}

/** Asks for a lease in the name of this app. */
export const askForLease = ({ store, holder, leaseMs }: ConsumerCore, name: string): Promise<LeaseAnswer> =>
  store.acquireLease({ name, holder: holder(), ttlMs: leaseMs })

/** Returns whether another process has the lease. It asks by taking it, so ask seldom. */
export async function isLeasedElsewhere(core: ConsumerCore, name: string): Promise<boolean> {
  const answer = await askForLease(core, name)
  if (answer.acquired) await core.store.releaseLease({ name, fence: answer.fence })
  return !answer.acquired
}

/** Runs work under a lease. Returns false if another process has it or takes it over. */
export async function withLease(core: ConsumerCore, name: string, work: (lease: Lease) => Promise<void>): Promise<boolean> {
  const answer = await askForLease(core, name)
  if (!answer.acquired) return false
  const lease = await leaseOf(core, name, answer)
  try {
    await work(lease)
    return true
  } catch (error) {
    if (error instanceof LeaseLost) return false
    throw error
  } finally {
    await lease.release().catch(() => {})
  }
}

/** A period of work under leases. */
export interface Slice extends Pick<Turn, 'signal' | 'isOver'> {
  /** Aborts work in flight after a failure elsewhere. */
  abort(reason: unknown): void
}

/** Renews the leases during the work, and aborts the work when one is lost. */
export async function underLeases<T>(
  { runtime, leaseMs }: ConsumerCore,
  leases: readonly Lease[],
  { budgetMs, signal: given }: RunRequest,
  work: (slice: Slice) => Promise<T>,
): Promise<T> {
  const countdown = new Countdown(runtime, budgetMs)
  const ending = new AbortController()
  const { signal } = ending
  const abort = (reason: unknown) => ending.abort(reason)
  const done = new AbortController()
  const prove = (lease: Lease) =>
    lease.prove({ freshly: true }).catch((error: unknown) => {
      if (error instanceof LeaseLost) abort(error)
    })
  const beat = async () => {
    for (;;) {
      await runtime.sleep(leaseMs / 3, done.signal)
      await Promise.all(leases.map(prove))
    }
  }
  const beating = beat().catch(() => {})
  const forget = given && whenAborted(given, () => abort(given.reason))
  if (given?.aborted) abort(given.reason)
  try {
    return await work({ signal, abort, isOver: () => signal.aborted || countdown.isOver })
  } finally {
    forget?.()
    done.abort()
    await beating
  }
}
