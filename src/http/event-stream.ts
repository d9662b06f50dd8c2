import { ValidationError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import type { OpenedChanges } from '../views/changes.ts'
import type { ViewChange } from '../views/listener.ts'
import { streamed } from './answers.ts'
import { type Asked, authorized } from './authorized.ts'
import type { ExposedView } from './exposed.ts'
import { askedOf, conditionNames } from './query.ts'
import type { HttpSetup } from './setup.ts'

/** Proxies close connections that are silent for longer, mostly after 30 to 60 seconds. */
const beatMs = 15_000

/** Whether a request asks for server-sent events. Where it takes JSON too, it gets JSON. */
export function wantsEvents({ headers }: Request): boolean {
  const types = (headers.get('Accept') ?? '').split(',').map((range) => range.split(';')[0]?.trim().toLowerCase())
  return types.includes('text/event-stream') && !types.includes('application/json')
}

/** The live changes of a view, as server-sent events. */
export async function showChanges(setup: HttpSetup, asked: Asked, view: ExposedView): Promise<Response> {
  const { request, url } = asked
  const { where, problem } = askedOf(view.definition, url, conditionNames(view.definition))
  await authorized(setup, asked, { kind: 'find', view: view.name, where })
  if (problem !== undefined) throw problem
  const after = request.headers.get('Last-Event-ID') ?? undefined
  const changes = view.handle.changes({ where: where as never, after, signal: request.signal }) as OpenedChanges
  if (!changes.isCursor) throw new ValidationError(`Last-Event-ID must be the id of an event of this view, not '${after}'.`)
  const cursor = await changes.begin()
  return streamed(
    eventsOf(changes, cursor, setup.sleep, (error) => setup.report(error, request)),
    {
      'Content-Type': 'text/event-stream',
      // Buffered, nothing would arrive before the end.
      'X-Accel-Buffering': 'no',
    },
  )
}

/** Reads a change when the client can take one, so that a slow client receives the latest content of each row. */
function eventsOf(
  changes: OpenedChanges,
  begun: string | undefined,
  sleep: Runtime['sleep'],
  report: (error: unknown) => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const iterator = changes[Symbol.asyncIterator]()
  let next: ReturnType<typeof iterator.next> | undefined
  return new ReadableStream<Uint8Array>(
    {
      // Opens the stream, and says where to continue if it breaks before the first change.
      start: (controller) => controller.enqueue(encoder.encode(beat(begun))),
      pull: async (controller) => {
        const waiting = new AbortController()
        try {
          next ??= iterator.next()
          const isSilent = sleep(beatMs, waiting.signal).then(
            () => undefined,
            () => undefined,
          )
          const result = await Promise.race([next, isSilent])
          if (result === undefined) return controller.enqueue(encoder.encode(beat(iterator.cursor())))
          next = undefined
          if (result.done === true) controller.close()
          else controller.enqueue(encoder.encode(eventOf(result.value)))
        } catch (error) {
          report(error)
          throw error
        } finally {
          waiting.abort()
        }
      },
      cancel: async () => void (await iterator.return()),
    },
    { highWaterMark: 0 },
  )
}

/** A comment; an `id` without data moves what the client sends as `Last-Event-ID`. */
const beat = (cursor: string | undefined): string => `:\n${cursor === undefined ? '' : `id: ${cursor}\n`}\n`

function eventOf({ kind, cursor, ...data }: ViewChange<unknown>): string {
  return `event: ${kind}\nid: ${cursor}\ndata: ${JSON.stringify(data)}\n\n`
}
