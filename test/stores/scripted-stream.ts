import { ExpiredIteratorException, TrimmedDataAccessException } from '@aws-sdk/client-dynamodb-streams'
import type { DynamoDbClient, DynamoDbStreamRecord, DynamoDbStreamsClient } from 'cqrs-es/dynamodb'

const refused = { $metadata: { httpStatusCode: 400 } }

interface Shard {
  readonly parent: string | undefined
  readonly records: DynamoDbStreamRecord[]
  /** Of its first record that is still there. */
  trimmedTo: number
  closed: boolean
  listed: boolean
}

/**
 * A stream whose shards split when the test says so, in the shape that Amazon documents: the emulators have one shard for ever. Sequence numbers grow over all of the stream; a
 * closed shard has a last iterator, an open one always another.
 */
export function scriptedStream({ shardsPerPage = 100 } = {}) {
  const shards = new Map<string, Shard>()
  const calls: string[] = []
  let written = 0
  let made = 0
  let generation = 0
  let lapsed = 0
  let enabled = true
  const shardOf = (name: string): Shard => {
    const shard = shards.get(name)
    if (shard === undefined) throw Object.assign(new Error('not found'), { name: 'ResourceNotFoundException', ...refused })
    return shard
  }
  const iteratorAt = (shard: string, at: number) => `${generation}|${shard}|${at}|${lapsed}`
  const trimmed = () => new TrimmedDataAccessException({ message: 'trimmed', ...refused })

  const streamsClient: DynamoDbStreamsClient = {
    async describeStream({ ExclusiveStartShardId }) {
      calls.push('describeStream')
      const listed = [...shards].filter(([, { listed }]) => listed)
      const start = ExclusiveStartShardId === undefined ? 0 : listed.findIndex(([name]) => name === ExclusiveStartShardId) + 1
      const page = listed.slice(start, start + shardsPerPage)
      const last = page.at(-1)?.[0]
      return {
        StreamDescription: {
          Shards: page.map(([ShardId, { parent }]) => ({ ShardId, ParentShardId: parent })),
          LastEvaluatedShardId: start + shardsPerPage < listed.length ? last : undefined,
        },
      }
    },
    async getShardIterator({ ShardId, ShardIteratorType, SequenceNumber }) {
      calls.push(`${ShardIteratorType} ${ShardId}`)
      const { records, trimmedTo } = shardOf(ShardId)
      if (ShardIteratorType === 'TRIM_HORIZON') return { ShardIterator: iteratorAt(ShardId, trimmedTo) }
      if (ShardIteratorType === 'LATEST') return { ShardIterator: iteratorAt(ShardId, records.length) }
      const at = records.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === SequenceNumber)
      if (at < 0) throw Object.assign(new Error('Invalid SequenceNumber'), { name: 'ValidationException', ...refused })
      if (at < trimmedTo) throw trimmed()
      return { ShardIterator: iteratorAt(ShardId, ShardIteratorType === 'AT_SEQUENCE_NUMBER' ? at : at + 1) }
    },
    async getRecords({ ShardIterator, Limit }) {
      const [made, name = '', from, before] = ShardIterator.split('|')
      calls.push(`getRecords ${name}`)
      if (made !== String(generation)) throw new ExpiredIteratorException({ message: 'expired', ...refused })
      const { records, closed, trimmedTo } = shardOf(name)
      const at = Number(from)
      if (at < trimmedTo || before !== String(lapsed)) throw trimmed()
      const page = records.slice(at, at + Limit)
      const isEnd = closed && at + page.length === records.length
      return { Records: page, ...(!isEnd && { NextShardIterator: iteratorAt(name, at + page.length) }) }
    },
  }

  /** Only asked for the stream of its table. */
  const client = new Proxy({} as DynamoDbClient, {
    get: (_, name) => async () => {
      if (name !== 'describeTable') throw new Error(`${String(name)} is not scripted`)
      return { Table: { StreamSpecification: { StreamEnabled: enabled }, LatestStreamArn: 'arn:stream' } }
    },
  })

  return {
    client,
    streamsClient,
    calls,
    turnOff() {
      enabled = false
    },
    /** A new open shard. */
    add(parent?: string, { listed = true } = {}): string {
      const name = `shard-${String(made++).padStart(4, '0')}`
      shards.set(name, { parent, records: [], trimmedTo: 0, closed: false, listed })
      return name
    },
    close(name: string) {
      shardOf(name).closed = true
    },
    list(name: string) {
      shardOf(name).listed = true
    },
    /** DynamoDB has deleted the shard. */
    drop(name: string) {
      shards.delete(name)
    },
    /** DynamoDB has deleted all records of the shard that are there now. */
    trim(name: string) {
      const shard = shardOf(name)
      shard.trimmedTo = shard.records.length
    },
    /** All iterators that were handed out are too old. */
    expire() {
      generation++
    },
    /** All iterators that were handed out say that their records are trimmed, as on DynamoDB Local after a write to another table. */
    lapse() {
      lapsed++
    },
    insert(name: string, id: string, sequence: number) {
      const Keys = { AggregateTypeAndId: { S: `account:${id}` }, AggregateIdSequence: { N: String(sequence) } }
      const image = { ...Keys, AggregateType: { S: 'account' }, AggregateId: { S: id } }
      shardOf(name).records.push({
        eventName: 'INSERT',
        dynamodb: { Keys, NewImage: image, SequenceNumber: String(++written).padStart(21, '0') },
      })
    },
  }
}
