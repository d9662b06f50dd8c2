import { setTimeout } from 'node:timers/promises'
import { DynamoDBStreams, type _Record as StreamRecord } from '@aws-sdk/client-dynamodb-streams'
import type { DynamoDBRecord, DynamoDBStreamEvent } from 'aws-lambda'
import { streamSettings } from '../settings.ts'
import { deliver } from './deliver.ts'
import { emulatorAt } from './environment.ts'
import type { Outcome } from './sandbox.ts'

/** Lambda polls four times per second, too. */
const pollMs = 250

/** Content of the dead-letter queue of AWS: the place of the records in the stream. */
export interface DeadRecords {
  readonly condition: string
  readonly DDBStreamBatchInfo: {
    readonly shardId: string
    readonly startSequenceNumber: string
    readonly endSequenceNumber: string
    readonly batchSize: number
  }
  /** Aggregates of the records; AWS does not report them. */
  readonly keys: readonly unknown[]
}

export interface StreamOptions {
  readonly endpoint: string
  readonly streamArn: string
  readonly invoke: (event: DynamoDBStreamEvent) => Promise<Outcome>
  readonly onDead: (dead: DeadRecords) => void
}

/**
 * Delivers the stream of a table to a function as an event source mapping does: each shard from its
 * beginning, in order, batch by batch, parents before their children.
 */
export class LocalStream {
  readonly #options: StreamOptions
  readonly #client: DynamoDBStreams
  readonly #ending = new AbortController()
  readonly #shards = new Map<string, Promise<void>>()
  /** Delivered batches, for `redeliver`. */
  readonly #delivered: { readonly shardId: string; readonly batch: readonly DynamoDBRecord[] }[] = []
  #following: Promise<void> | undefined

  constructor(options: StreamOptions) {
    this.#options = options
    this.#client = new DynamoDBStreams(emulatorAt(options.endpoint))
  }

  start(): void {
    this.#following = this.#followShards()
  }

  /** Delivers all batches again: a function must accept each record at least once. */
  async redeliver(): Promise<{ readonly batches: number; readonly records: number }> {
    const batches = [...this.#delivered]
    for (const { shardId, batch } of batches) await this.#deliver(shardId, batch)
    return { batches: batches.length, records: batches.reduce((sum, { batch }) => sum + batch.length, 0) }
  }

  async close(): Promise<void> {
    this.#ending.abort()
    await this.#following
    await Promise.all(this.#shards.values())
    this.#client.destroy()
  }

  async #followShards(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      try {
        const { StreamDescription } = await this.#client.describeStream({ StreamArn: this.#options.streamArn })
        for (const { ShardId = '', ParentShardId = '' } of StreamDescription?.Shards ?? [])
          if (!this.#shards.has(ShardId)) this.#shards.set(ShardId, this.#followShard(ShardId, this.#shards.get(ParentShardId)))
      } catch (error) {
        if (!signal.aborted) console.error('The stream cannot be read:', error)
      }
      await pause(1_000, signal)
    }
  }

  async #followShard(shardId: string, parent: Promise<void> | undefined): Promise<void> {
    await parent
    const { signal } = this.#ending
    for (let last: string | undefined; !signal.aborted; ) {
      try {
        const start =
          last === undefined
            ? ({ ShardIteratorType: 'TRIM_HORIZON' } as const)
            : ({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: last } as const)
        const { streamArn: StreamArn } = this.#options
        const begun = await this.#client.getShardIterator({ StreamArn, ShardId: shardId, ...start })
        for (let iterator = begun.ShardIterator; iterator !== undefined && !signal.aborted; ) {
          const page = await this.#client.getRecords({ ShardIterator: iterator, Limit: streamSettings.batchSize })
          const batch = (page.Records ?? []).map((record) => toLambda(record, StreamArn))
          if (batch.length > 0) {
            this.#delivered.push({ shardId, batch })
            await this.#deliver(shardId, batch)
            last = batch.at(-1)?.dynamodb?.SequenceNumber
          } else await pause(pollMs, signal)
          iterator = page.NextShardIterator
        }
        if (!signal.aborted) return
      } catch (error) {
        if (signal.aborted) return
        console.error(`The shard ${shardId} cannot be read:`, error)
        await pause(1_000, signal)
      }
    }
  }

  #deliver(shardId: string, batch: readonly DynamoDBRecord[]): Promise<void> {
    const { signal } = this.#ending
    const oldest = streamSettings.maxRecordAgeSeconds
    return deliver(batch, {
      idOf: ({ dynamodb }) => dynamodb?.SequenceNumber ?? '',
      invoke: (records) => this.#options.invoke({ Records: [...records] }),
      retryAttempts: streamSettings.retryAttempts,
      isTooOld: ({ dynamodb }) => Date.now() / 1_000 - (dynamodb?.ApproximateCreationDateTime ?? 0) > oldest,
      pause: (failures) => pause(Math.min(1_000, 50 * 2 ** failures), signal),
      giveUp: (records, condition) => {
        if (signal.aborted) return
        const numbers = records.map(({ dynamodb }) => dynamodb?.SequenceNumber ?? '')
        this.#options.onDead({
          condition,
          DDBStreamBatchInfo: {
            shardId,
            startSequenceNumber: numbers[0] ?? '',
            endSequenceNumber: numbers.at(-1) ?? '',
            batchSize: records.length,
          },
          keys: records.map(({ dynamodb }) => dynamodb?.Keys),
        })
      },
    })
  }
}

/**
 * A record as Lambda delivers it: with the ARN of the stream, times in seconds and bytes as base64.
 */
function toLambda({ dynamodb = {}, ...record }: StreamRecord, eventSourceARN: string): DynamoDBRecord {
  const { ApproximateCreationDateTime: time, ...rest } = dynamodb
  const plain = JSON.parse(JSON.stringify({ ...record, dynamodb: rest }, bytesAsBase64)) as DynamoDBRecord
  return {
    ...plain,
    eventSourceARN,
    dynamodb: { ...plain.dynamodb, ...(time && { ApproximateCreationDateTime: Math.floor(time.getTime() / 1_000) }) },
  }
}

const bytesAsBase64 = (_key: string, value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value

const pause = (ms: number, signal: AbortSignal): Promise<void> => setTimeout(ms, undefined, { signal }).catch(() => {})
