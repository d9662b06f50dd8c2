import type { CloudEvent } from '../publications/cloud-event.ts'
import { permanent, type Target } from '../publications/target.ts'
import { sha256 } from '../util/digest.ts'

/** Messages of one batch call of SQS, SNS and EventBridge. */
export const mostMessages = 10
/** 256 KiB. */
export const defaultBytes = 262_144
/** Batch calls in parallel. */
export const batchCalls = 4

/** The used part of the answer to a batch. */
export interface BatchFailures {
  readonly Failed?:
    | readonly {
        readonly Id?: string | undefined
        readonly Code?: string | undefined
        readonly Message?: string | undefined
        readonly SenderFault?: boolean | undefined
      }[]
    | undefined
}

/** Passed to the AWS SDK with each call. */
export interface CallOptions {
  readonly abortSignal?: AbortSignal
}

/** Ids of a message for FIFO queues and topics. */
async function fifoIds({ id, source, partitionkey = id }: CloudEvent) {
  return {
    MessageGroupId: /^[!-~]{1,128}$/.test(partitionkey) ? partitionkey : await sha256(partitionkey),
    // Up to 128 characters are allowed, and an id of an event may have 500.
    MessageDeduplicationId: await sha256(`${source}\n${id}`),
  }
}

/** Returns an error or `undefined` for each entry. Entries have their index as id. */
export function errorsOf(service: string, count: number, { Failed = [] }: BatchFailures): readonly (Error | undefined)[] {
  const errors = Array.from<Error | undefined>({ length: count })
  for (const { Id, Code, Message, SenderFault } of Failed) {
    const message = `${service} refused the message: ${Code ?? 'no code'}${Message === undefined ? '' : `, ${Message}`}`
    errors[Number(Id)] = SenderFault === true ? permanent(message) : new Error(message)
  }
  return errors
}

interface Entry {
  readonly Id: string
  readonly MessageGroupId?: string
  readonly MessageDeduplicationId?: string
  readonly text: string
}

/** A target for batches of a queue or topic, which keeps an order if its address ends with `.fifo`. */
export function batchTarget(
  service: 'SNS' | 'SQS',
  address: string,
  {
    name = `${service.toLowerCase()}:${lastPartOf(address)}`,
    mostBytes,
  }: { readonly name: string | undefined; readonly mostBytes: number },
  send: (entries: readonly Entry[], options: CallOptions) => Promise<BatchFailures>,
): Target {
  const isFifo = address.endsWith('.fifo')
  return {
    name,
    keeps: isFifo ? 'one-per-key' : 'nothing',
    most: { messages: mostMessages, bytes: mostBytes },
    calls: batchCalls,
    send: async (messages, { signal }) => {
      const entries = messages.map(async (message, i) => ({
        Id: String(i),
        text: JSON.stringify(message),
        ...(isFifo && (await fifoIds(message))),
      }))
      return errorsOf(service, messages.length, await send(await Promise.all(entries), { abortSignal: signal }))
    },
  }
}

/** The last part of the address of a queue or topic. */
const lastPartOf = (address: string): string => address.split(/[/:]/).pop() || address
