import { createApp } from 'cqrs-es'
import { createHandler, openApiDocument } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'
import { member } from '../support/members.ts'
import { asking, order } from './shop.ts'

const app = createApp({ store: memoryStore(), aggregates: { member, order } })

test('a command whose unique value is taken is 409 with the name of the rule', async () => {
  const { post } = asking(createHandler(app, { authorize: 'none' }))
  expect((await post('/member/m-1/Change', { email: 'ann@example.com' })).status).toBe(200)
  const { status, headers, body } = await post('/member/m-2/Change', { email: 'Ann@example.com' })
  expect([status, headers.get('retry-after')]).toEqual([409, null])
  expect(body).toEqual({
    title: 'Conflict',
    status: 409,
    detail: 'Another member has this email.',
    reason: 'taken',
    details: { unique: 'email' },
  })
  expect((await post('/member/m-2/Change', { name: 'nobody' })).status).toBe(422)
})

test('the document describes the taken values of an aggregate that has some', () => {
  const { paths } = openApiDocument(app, { authorize: 'none' })
  const conflictOf = (path: string) =>
    JSON.stringify((paths[path] as { post: { responses: object } }).post.responses[409 as never])
  expect(conflictOf('/member/{id}/Change')).toContain('{"enum":["email","name","tag"]}')
  expect(conflictOf('/member/{id}')).toContain('"taken"')
  expect(conflictOf('/order/{id}/Place')).toBe('{"$ref":"#/components/responses/Problem409"}')
})
