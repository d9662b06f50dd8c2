import { createApp, type Store } from 'cqrs-es'
import type { TestDatabase } from 'cqrs-es/conformance'
import { afterEach, describe, expect, test } from 'vitest'
import { databases } from '../conformance/hosts.ts'
import { formerMember, member } from '../support/members.ts'
import { withoutStreamWaits } from '../support/runtime.ts'

describe.each(databases)('unique values on $name', ({ skipped, host }) => {
  const opened: TestDatabase[] = []
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((one) => one.close()))
  })
  const created = async () => {
    const database = await host.open({ schema: true })
    opened.push(database)
    return database
  }
  const appOn = (store: Store) => createApp({ store, aggregates: { member }, runtime: withoutStreamWaits.runtime })
  const change = (app: ReturnType<typeof appOn>, id: string, data: object) =>
    app.aggregates.member.execute(id, { type: 'Change', data })
  const taken = (rule: string) => ({ ok: false, reason: 'taken', details: { unique: rule } })

  test.skipIf(skipped)('one of 8 gets a value that all want at once, through two processes', async () => {
    const { store, connect } = await created()
    const apps = [appOn(store), appOn(await connect())] as const
    for (const email of ['a', 'b', 'c']) {
      const results = await Promise.all(
        Array.from({ length: 8 }, (_, i) => change(i % 2 ? apps[0] : apps[1], `m-${i}`, { email, tags: [`${email}-${i}`] })),
      )
      expect(results.filter(({ ok }) => ok)).toHaveLength(1)
      expect(results.filter(({ ok }) => !ok)).toEqual(Array.from({ length: 7 }, () => taken('email')))
    }
  })

  test.skipIf(skipped)('a value is released, taken and claimed again', async () => {
    const { store, connect } = await created()
    const [one, two] = [appOn(store), appOn(await connect())] as const
    for (let round = 0; round < 5; round++) {
      await change(one, 'm-1', { email: 'a', name: null })
      const [, result] = await Promise.all([change(one, 'm-1', { email: 'b' }), change(two, 'm-2', { email: 'a' })])
      expect((await one.aggregates.member.load('m-2')).state.email).toBe(result.ok ? 'a' : null)
      expect((await change(two, 'm-3', { email: 'a' })).ok).toBe(!result.ok)
      for (const id of ['m-2', 'm-3']) await change(two, id, { email: null })
    }
  })

  test.skipIf(skipped)('adopt claims the values of earlier aggregates, and none that is given up meanwhile', async () => {
    const { store, connect } = await created()
    const before = createApp({ store, aggregates: { member: formerMember } }).aggregates.member
    for (const [id, email] of Object.entries({ 'm-1': 'a', 'm-2': 'A', 'm-3': 'b', 'm-4': 'c' }))
      await before.execute(id, { type: 'Change', data: { email } })
    const [one, two] = [appOn(store), appOn(await connect())] as const
    await change(one, 'm-4', { email: 'd' }) // releases a value that was never claimed
    const both = await Promise.all([one.adopt(member), two.adopt(member)])
    expect(both.map(({ written }) => written).reduce((sum, written) => sum + written)).toBe(2)
    const { written, doubles } = await two.adopt(member)
    expect([written, doubles.map(({ ids }) => [...ids].sort())]).toEqual([0, [['m-1', 'm-2']]])
    for (const email of ['a', 'b', 'd']) expect(await change(one, 'm-9', { email })).toEqual(taken('email'))
    expect(await change(one, 'm-9', { email: 'c' })).toMatchObject({ ok: true })
  })

  test.skipIf(skipped)('commands of one aggregate in flight keep their claims', async () => {
    const { store } = await created()
    const app = appOn(store)
    const { execute, load } = app.aggregates.member
    await change(app, 'm-0', { tags: ['t-7'] })
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        i % 2 === 0 ? execute('m-1', { type: 'Visit' }) : execute('m-1', { type: 'Add', data: { tag: `t-${i}` } }),
      ),
    )
    expect(results.filter(({ ok }) => !ok)).toEqual([taken('tag')])
    const { tags, visits } = (await load('m-1')).state
    expect([tags.length, visits]).toEqual([9, 10])
    for (const tag of tags) expect(await change(app, 'm-2', { tags: [tag] })).toEqual(taken('tag'))
  })
})
