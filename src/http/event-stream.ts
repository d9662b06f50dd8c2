import { ValidationError } from '../errors.ts'
import { whenAborted } from '../util/abort.ts'
import type { OpenedChanges } from '../views/changes.ts'
import type { ViewChange } from '../views/listener.ts'
import { authorized, type RequestContext } from './authorize.ts'
import type { ExposedView } from './exposed.ts'
import { conditionNames, findQueryOf } from './query.ts'
import { streamed } from './responses.ts'
import type { HttpSetup } from './setup.ts'

/** Proxies close connections that are silent for longer, mostly after 30 to 60 seconds. */
const beatMs = 15_000

/** Whether a request asks for server-sent events. A request that also accepts JSON gets JSON. */
export function wantsEvents({ headers }: Request): boolean {
  const types = (headers.get('Accept') ?? '').split(',').map((range) => range.split(';')[0]?.trim().toLowerCase())
  return types.includes('text/event-stream') && !types.includes('application/json')
}

/** The live changes of a view, as server-sent events. */
export async function showChanges(setup: HttpSetup, context: RequestContext, view: ExposedView): Promise<Response> {
  const { request, url } = context
  const { where, problem } = findQueryOf(view.definition, url, conditionNames(view.definition))
  await authorized(setup, context, { kind: 'find', view: view.name, where })
  if (problem !== undefined) throw problem
  const after = request.headers.get('Last-Event-ID') ?? undefined
  const changes = view.handle.changes({ where: where as never, after, signal: request.signal }) as OpenedChanges
  if (!changes.isCursor) throw new ValidationError(`Last-Event-ID must be the id of an event of this view, not '${after}'.`)
  const cursor = await changes.begin()
  const report = (error: unknown) => setup.report(error, request)
  return streamed(eventsOf(changes, cursor, setup, report), {
    'Content-Type': 'text/event-stream',
    // With buffering, nothing would arrive before the end.
    'X-Accel-Buffering': 'no',
  })
}

/** Reads a change when the client can take one, so that a slow client receives the latest content of each row. */
function eventsOf(
  changes: OpenedChanges,
  begun: string | undefined,
  { sleep, options: { shutdown } }: HttpSetup,
  report: (error: unknown) => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const iterator = changes[Symbol.asyncIterator]()
  let next: ReturnType<typeof iterator.next> | undefined
  let isOver = false
  const end = () => {
    isOver = true
    forget?.()
    void iterator.return()
  }
  const forget = shutdown && whenAborted(shutdown, () => void iterator.return())
  if (shutdown?.aborted) void iterator.return()

  /** The next change, or a comment after a silence; `undefined` at the end. */
  async function message(): Promise<string | undefined> {
    next ??= iterator.next()
    const waiting = new AbortController()
    const silence = sleep(beatMs, waiting.signal).then(
      () => undefined,
      () => undefined,
    )
    const result = await Promise.race([next, silence]).finally(() => waiting.abort())
    if (result === undefined) return beat(iterator.cursor())
    next = undefined
    return result.done === true ? undefined : eventOf(result.value)
  }

  return new ReadableStream<Uint8Array>(
    {
      // Opens the stream, and sends the cursor in case it breaks before the first change.
      start: (controller) => controller.enqueue(encoder.encode(beat(begun))),
      pull: async (controller) => {
        try {
          const text = await message()
          if (isOver) return
          if (text !== undefined) return controller.enqueue(encoder.encode(text))
          end()
          controller.close()
        } catch (error) {
          end()
          report(error)
          throw error
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  )
}

/** A comment. An `id` without data changes the client's next `Last-Event-ID`. */
const beat = (cursor: string | undefined): string => `:\n${cursor === undefined ? '' : `id: ${cursor}\n`}\n`

function eventOf({ kind, cursor, ...data }: ViewChange<unknown>): string {
  return `event: ${kind}\nid: ${cursor}\ndata: ${JSON.stringify(data)}\n\n`
}
