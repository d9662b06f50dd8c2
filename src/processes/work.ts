import type { Besides, BesidesLimits, BesidesResult } from '../consumers/besides.ts'
import { eachEnded } from '../consumers/each-ended.ts'
import { HandlerCall } from '../consumers/handler-call.ts'
import { storable } from '../consumers/stopped.ts'
import { dueAtOnce, duePages, firstDueRows, nextDueRows, waitsForEvents } from '../due/due-rows.ts'
import type { StoredView } from '../store/store.ts'
import { onTimer, StepFailed, stuckAt } from './decide-step.ts'
import type { StoredInstance } from './instance-cache.ts'
import { dueOf } from './instance-row.ts'
import { type Job, jobOf } from './jobs.ts'
import { makeCall } from './make-call.ts'
import { retryInput } from './retry-input.ts'
import { sendCommand } from './send-command.ts'
import { type Running, readInstance, saveInstance, type WorkCore } from './work-core.ts'

/** Instances in parallel. */
const mostAtOnce = 32

/** Sends commands, makes calls and fires timers of the instances of one process. */
export class Work implements Besides {
  readonly #work: WorkCore

  constructor(work: WorkCore) {
    this.#work = work
  }

  /** Does what is due: first in the instances that events have just changed, then the oldest first. */
  async work(limits: BesidesLimits, isBehind: boolean): Promise<BesidesResult> {
    const round = new Round(this.#work, limits, isBehind)
    try {
      await round.all(this.#work.instances.takeChanged().map((id) => ({ id, known: this.#work.instances.get(id) })))
      const next = await this.#workUntilLater(round, isBehind)
      const dueAt = next === undefined || next === dueAtOnce ? undefined : new Date(next)
      return { steps: round.steps, isWhole: !round.isOver, dueAt, error: round.error }
    } finally {
      HandlerCall.rest()
    }
  }

  /** Retries the input at which an instance is stuck, also while others move it. */
  async retry(stuck: StoredInstance): Promise<StoredInstance> {
    const { process } = this.#work
    let row = stuck
    while (row.value?.stuck?.again && row.value.stateVersion <= process.stateVersion)
      row = (await retryInput(this.#work, row as Running)) ?? (await readInstance(this.#work, row.id))
    return row
  }

  /** Works on instances that events have just changed. */
  async workOnChanged(limits: BesidesLimits): Promise<void> {
    const round = new Round(this.#work, limits, false)
    await round.all(this.#work.instances.takeChanged().map((id) => ({ id, known: this.#work.instances.get(id) })))
  }

  /** Works until nothing is due that can be done. Returns when the next is due. */
  async #workUntilLater(round: Round, isBehind: boolean): Promise<string | undefined> {
    const { core, rows } = this.#work
    while (!round.isOver) {
      const first = this.#earliest(await firstDueRows(core, rows.name))
      const now = core.runtime.now().toISOString()
      if (first === undefined || first > (isBehind ? dueAtOnce : now)) return first
      const before = round.steps
      await this.#duePages(round, isBehind)
      // What is left is left to another program.
      if (round.steps === before && !round.isOver) return this.#earliest(await nextDueRows(core, rows.name, now))
    }
    return undefined
  }

  async #duePages(round: Round, isBehind: boolean): Promise<void> {
    const { core, rows } = this.#work
    const until = isBehind ? dueAtOnce : core.runtime.now().toISOString()
    for await (const page of duePages(core, rows.name, until)) {
      await round.all(page.map((row) => ({ id: row.id, known: rows.parse(row.id, row) })))
      if (round.isOver) return
    }
  }

  #earliest(found: readonly StoredView[]): string | undefined {
    const times = found.flatMap((row) => {
      const { value } = this.#work.rows.parse(row.id, row)
      return (value && dueOf(value)) ?? []
    })
    return times.filter((time) => time !== waitsForEvents).sort()[0]
  }
}

interface Candidate {
  readonly id: string
  /** The instance as it was read or saved last. */
  readonly known: StoredInstance | undefined
}

/** One run of work. */
class Round {
  steps = 0
  isOver = false
  error: unknown
  #begun = 0
  readonly #work: WorkCore
  readonly #limits: BesidesLimits
  readonly #isBehind: boolean
  /** Instances that are left to a newer program. */
  readonly #left = new Set<string>()

  constructor(work: WorkCore, limits: BesidesLimits, isBehind: boolean) {
    this.#work = work
    this.#limits = limits
    this.#isBehind = isBehind
  }

  /** Works on instances, some at once. After an error, those in progress end first. */
  async all(candidates: readonly Candidate[]): Promise<void> {
    const waiting = [...candidates]
    let hasFailed = false
    const lane = async () => {
      for (let next = waiting.shift(); next !== undefined && !hasFailed && !this.isOver; next = waiting.shift()) {
        try {
          await this.#one(next)
        } catch (error) {
          hasFailed = true
          throw error
        }
      }
    }
    await eachEnded(Array.from({ length: Math.min(mostAtOnce, waiting.length) }, lane))
  }

  async #one({ id, known }: Candidate): Promise<void> {
    if (this.#left.has(id)) return
    const { core, process } = this.#work
    for (let row: StoredInstance | undefined = known; ; ) {
      row ??= await readInstance(this.#work, id)
      const { value } = row
      const job = value && jobOf(value, core.runtime.now().toISOString(), this.#isBehind)
      if (value === undefined || job === undefined) return
      if (value.stateVersion > process.stateVersion) return this.#leave(id, value.stateVersion)
      // Do at least one, however long reading took.
      if (this.#limits.signal.aborted || (this.#begun > 0 && this.#limits.isOver())) {
        this.isOver = true
        return
      }
      this.#begun++
      row = await this.#do(job, { ...row, value })
      if (row !== undefined) this.steps++
    }
  }

  #do(job: Job, row: Running): Promise<Running | undefined> {
    const { signal } = this.#limits
    if (job.kind === 'again') return retryInput(this.#work, row)
    if (job.kind === 'command') return sendCommand(this.#work, row, job.send, signal)
    if (job.kind === 'call') return makeCall(this.#work, row, job.send, signal)
    return fireTimer(this.#work, row, job.name)
  }

  #leave(id: string, version: number): void {
    const { process } = this.#work
    this.#left.add(id)
    this.error ??= new Error(
      `Process '${process.name}' leaves the instance '${id}' to a newer program: its state has the version ${version}, and this program has ${process.stateVersion}. Nothing was stored.`,
    )
  }
}

/** Fires a timer. Returns `undefined` if another worker has moved the instance. */
function fireTimer(work: WorkCore, row: Running, name: string): Promise<Running | undefined> {
  const at = `timer ${name}`
  try {
    return saveInstance(work, row, onTimer(work.process, row.id, row.value, name), { at })
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error
    const stuck = { ...stuckAt(at, error, work.core.runtime.now().toISOString(), storable), timer: name }
    return saveInstance(work, row, { ...row.value, stuck }, { at, error })
  }
}
