import { isCqrsError, NotYetError, ValidationError } from '../errors.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { isPosition } from '../names.ts'
import { checkWholeNumber } from '../options.ts'
import type { ReadSide, SqlViewDefinition, ViewDefinition } from '../subscriptions/definitions.ts'
import { type Call, checkCallOptions } from './call.ts'
import type { Core } from './core.ts'
import type { Accepted, Rejected } from './result.ts'

type AnyViewDefinition = ViewDefinition | SqlViewDefinition

/** What is done with a result before it is returned. */
export type Afterwards = (aggregateType: string, call: Call, result: Accepted | Rejected) => Promise<void>

/** Waiting until views have what was stored: of `app.waitFor`, and of commands. */
export function waitingFor(
  core: Core,
  readSide: ReadSide | undefined,
  views: ReadonlyMap<string, AnyViewDefinition>,
  lifecycle: Lifecycle,
): { readonly waitFor: (view: unknown, position: unknown, options?: object) => Promise<void>; readonly afterwards: Afterwards } {
  const viewOf = (at: string, key: unknown): AnyViewDefinition => {
    const view = views.get(key as string)
    if (view !== undefined) return view
    throw new ValidationError(
      `${at}: there is no view '${String(key)}'. The views of this app: ${[...views.keys()].join(', ') || 'none'}.`,
    )
  }
  return {
    waitFor: (key, position, options: { readonly timeoutMs?: number } = {}) =>
      lifecycle.run('app.waitFor', async () => {
        checkCallOptions('app.waitFor', options, ['timeoutMs'])
        if (!isPosition(position))
          throw new ValidationError(
            `app.waitFor: what is waited for must be the position of an event, not '${String(position)}'.`,
          )
        if (options.timeoutMs !== undefined) checkWholeNumber('app.waitFor: timeoutMs', options.timeoutMs, 0, ValidationError)
        await readSide?.reach(viewOf('app.waitFor', key), position, options.timeoutMs)
      }),
    afterwards: async (aggregateType, { waitFor, timeoutMs }, result) => {
      if (waitFor === undefined) return
      const wanted = waitFor.map((key) => viewOf(`execute on ${aggregateType}: waitFor`, key))
      const last = result.ok ? result.events.at(-1) : undefined
      if (last === undefined || readSide === undefined) return
      const began = core.runtime.now().getTime()
      for (const view of wanted.filter(({ aggregateTypes }) => aggregateTypes.includes(aggregateType))) {
        const left = Math.max(0, timeoutMs - (core.runtime.now().getTime() - began))
        try {
          if (last.position === undefined) await within(core, left, readSide.catchUpView(view, last))
          else await readSide.reach(view, last.position, left)
        } catch (error) {
          throw new NotYetError(
            `The command on ${aggregateType} was stored, but the view '${view.name}' does not show it yet: ${isCqrsError(error) ? error.message : String(error)}`,
            result,
            error,
          )
        }
      }
    },
  }
}

/** @throws NotYetError when it takes longer */
async function within(core: Core, ms: number, task: Promise<void>): Promise<void> {
  const done = new AbortController()
  const late = core.runtime.sleep(ms, done.signal).then(() => {
    throw new NotYetError(`it was not there within ${ms} ms.`)
  })
  try {
    await Promise.race([task, late])
  } finally {
    done.abort()
    late.catch(() => {})
    task.catch(() => {})
  }
}
