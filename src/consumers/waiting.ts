import { messageOf, NotYetError, ValidationError } from '../errors.ts'
import type { PrepareWaiting } from '../execution/handle.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { isPosition } from '../util/names.ts'
import { checkCallOptions, checkWholeNumber } from '../util/options.ts'
import type { ConsumerDefinition, ReadSide } from './definitions.ts'

/** Returns the waits for views, of `app.waitFor` and of commands. */
export function waitingFor(
  readSide: ReadSide | undefined,
  views: ReadonlyMap<string, ConsumerDefinition>,
  lifecycle: Lifecycle,
): { readonly waitFor: (view: unknown, position: unknown, options?: object) => Promise<void>; readonly prepare: PrepareWaiting } {
  const viewOf = (at: string, key: unknown): ConsumerDefinition => {
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
          throw new ValidationError(`app.waitFor: position must be the position of an event, not '${String(position)}'.`)
        if (options.timeoutMs !== undefined) checkWholeNumber('app.waitFor: timeoutMs', options.timeoutMs, 0, ValidationError)
        const view = viewOf('app.waitFor', key)
        await readSide?.patiently(lifecycle, 'app.waitFor', options, (patience) => readSide.reach(view, position, patience))
      }),
    prepare: (aggregateType, { waitFor, timeoutMs, signal }) => {
      if (waitFor === undefined) return undefined
      const at = `execute on ${aggregateType}: waitFor`
      const wanted = waitFor.map((key) => viewOf(at, key)).filter((view) => view.aggregateTypes.includes(aggregateType))
      return async (result) => {
        const last = result.ok ? result.events.at(-1) : undefined
        if (last === undefined || readSide === undefined || wanted.length === 0) return
        const { position } = last
        await readSide.patiently(lifecycle, at, { timeoutMs, signal }, async (patience) => {
          for (const view of wanted)
            try {
              if (position !== undefined) await readSide.reach(view, position, patience)
              else await patience.until(() => readSide.catchUpView(view, last, patience.ending))
            } catch (error) {
              throw new NotYetError(
                `The command on ${aggregateType} was stored, but the view '${view.name}' does not show it yet: ${messageOf(error)}`,
                result,
                error,
              )
            }
        })
      }
    },
  }
}
