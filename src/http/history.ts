import { streamed } from './responses.ts'

/** Characters that are gathered before they are sent. */
const chunkLength = 16_384

/**
 * Streams `{ "items": [ … ], "next"?: … }`; `undefined` without events.
 *
 * The first page is read before the response starts, so that its failure has a status of its own. A
 * later error goes to `report` and ends the stream.
 */
export async function eventsAnswer(
  events: AsyncIterable<{ readonly sequence: number }>,
  limit: number | undefined,
  report: (error: unknown) => void,
): Promise<Response | undefined> {
  const reading = events[Symbol.asyncIterator]()
  const first = await reading.next()
  if (first.done === true) return undefined
  const encoder = new TextEncoder()
  const next = async () => {
    try {
      const { done, value } = await reading.next()
      return done === true ? undefined : value
    } catch (error) {
      report(error)
      throw error
    }
  }
  let event: { readonly sequence: number } | undefined = first.value
  let sent = 0
  let last = 0
  // The next page starts after a sequence, so all parts of a split event are on one page.
  const isFull = () => limit !== undefined && sent >= limit && event?.sequence !== last
  return streamed(
    new ReadableStream<Uint8Array>({
      async pull(controller) {
        let text = sent === 0 ? '{"items":[' : ''
        while (event !== undefined && !isFull() && text.length < chunkLength) {
          text += `${sent === 0 ? '' : ','}${JSON.stringify(event)}`
          sent++
          last = event.sequence
          event = await next()
        }
        const isEnd = event === undefined || isFull()
        if (isEnd) text += event === undefined ? ']}' : `],"next":${last}}`
        controller.enqueue(encoder.encode(text))
        if (isEnd) controller.close()
      },
    }),
  )
}

/** Whether there is any event, if there is none after `after`. Usually `after` is the last one. */
export async function hasEvents(eventsAfter: (sequence: number) => AsyncIterable<unknown>, after: number): Promise<boolean> {
  if (after > 1 && (await isAny(eventsAfter(after - 1)))) return true
  return after > 0 && isAny(eventsAfter(0))
}

async function isAny(events: AsyncIterable<unknown>): Promise<boolean> {
  for await (const _ of events) return true
  return false
}
