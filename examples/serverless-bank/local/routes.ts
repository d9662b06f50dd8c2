import type { FunctionName } from '../settings.ts'
import { serve } from './gateway.ts'
import { deliverMessages, type Message } from './queue.ts'
import type { LocalFunction, Outcome } from './sandbox.ts'
import type { DeadRecords, LocalStream } from './stream.ts'

export interface Parts {
  readonly functions: Readonly<Record<FunctionName, LocalFunction>>
  readonly stream: LocalStream
  /** Given-up records of the stream. */
  readonly dead: readonly DeadRecords[]
}

/**
 * All paths belong to the API, except those below `/_local/`, which trigger what AWS does by
 * itself.
 */
export const routes =
  ({ functions, stream, dead }: Parts) =>
  async (request: Request, sourceIp: string): Promise<Response> => {
    const { pathname } = new URL(request.url)
    switch (`${request.method} ${pathname}`) {
      case 'POST /_local/queue':
        return Response.json(await deliverMessages((await request.json()) as Message[], (event) => functions.queue.invoke(event)))
      case 'POST /_local/redeliver':
        return Response.json(await stream.redeliver())
      case 'POST /_local/drain':
        return answerOf(await functions.drain.invoke(scheduled()))
      case 'GET /_local/dead-letters':
        return Response.json(dead)
    }
    if (pathname.startsWith('/_local/')) return new Response(null, { status: 404 })
    return serve(request, sourceIp, (event) => functions.command.invoke(event))
  }

const answerOf = (outcome: Outcome): Response =>
  'answer' in outcome ? Response.json(outcome.answer) : Response.json(outcome.failure, { status: 500 })

/** An event as EventBridge sends it. */
export const scheduled = () => ({
  version: '0',
  id: crypto.randomUUID(),
  'detail-type': 'Scheduled Event',
  source: 'aws.events',
  account: '123456789012',
  time: new Date().toISOString(),
  region: 'us-east-1',
  resources: ['arn:aws:events:us-east-1:123456789012:rule/every-day'],
  detail: {},
})
