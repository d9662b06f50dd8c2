import { expect, it } from 'vitest'
import { deliverMessages } from './local/queue.ts'
import { queueSettings } from './settings.ts'

it('a queue gives up a message that fails at every attempt, and none after it in its group', async () => {
  const calls: string[] = []
  const messages = ['bad', 'm1', 'm2'].map((messageId) => ({ messageId, group: 'acct-1', body: '{}' }))
  const { done, dead } = await deliverMessages([...messages, { messageId: 'other', body: '{}' }], async ({ Records }) => {
    const ids = Records.map(({ messageId }) => messageId)
    calls.push(ids.join(' '))
    const failed = ids.includes('bad') ? ids : []
    return { answer: { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) } }
  })
  expect({ done, dead }).toEqual({ done: ['other', 'm1', 'm2'], dead: ['bad'] })
  expect(calls).toEqual(['bad', 'other', ...Array(queueSettings.maxReceiveCount - 1).fill('bad'), 'm1', 'm2'])
})
