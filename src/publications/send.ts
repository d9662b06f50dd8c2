import type { ConsumerCore } from '../consumers/core.ts'
import { messageOf } from '../errors.ts'
import { attempt } from '../subscriptions/attempt.ts'
import type { CloudEvent } from './cloud-event.ts'
import type { Answer } from './round.ts'
import { isPermanent, type SendResult, type Target } from './target.ts'

/** Calls a target once. An error that it throws is that of each message if it is permanent. */
export async function sendTo(
  core: ConsumerCore,
  target: Target,
  timeoutMs: number,
  messages: readonly CloudEvent[],
  signal: AbortSignal,
): Promise<Answer> {
  let result: SendResult | undefined
  const outcome = await attempt(core, signal, timeoutMs, async (ending) => {
    result = await target.send(messages, ending)
  })
  if (outcome === 'interrupted') return outcome
  if (outcome !== 'done') {
    const { error } = outcome
    return isPermanent(error) ? { errors: messages.map(() => error) } : { away: error }
  }
  if (result === undefined) return { errors: messages.map(() => undefined) }
  if (Array.isArray(result) && result.length === messages.length) return { errors: result }
  return { away: new Error(`The target '${target.name}' answered for ${lengthOf(result)} of ${messages.length} messages.`) }
}

const lengthOf = (result: unknown): string => (Array.isArray(result) ? String(result.length) : messageOf(result))
