import { createApp, type Store } from 'cqrs-es'
import type { Commit, CommitOutcome } from 'cqrs-es/store'
import { testClock } from 'cqrs-es/testing'
import { member } from '../../support/members.ts'
import { minute, seat } from '../../support/seats.ts'
import { changed } from '../../support/stores.ts'
import { dyingStore } from '../processes/dying.ts'

const workers = 4
const ids = ['1', '2', '3', '4', '5']
const values = ['a', 'b', 'c']

export interface Outcome {
  readonly deaths: number
  readonly taken: number
  readonly expired: number
  readonly problems: readonly string[]
}

/** Random commands of workers that die before or after any call of the store. Then checks each event. */
export async function claimAndExpire(store: Store, random: () => number, way: 'together' | 'apart'): Promise<Outcome> {
  const clock = testClock('2030-01-01T00:00:00Z')
  const told = way === 'together' ? store : apart(store)
  const appOn = (on: Store) =>
    createApp({
      store: on,
      aggregates: { member, seat },
      services: { seat: { expire: () => 'accept' as const, calls: [] } },
      runtime: clock,
      observe: () => {},
    })
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T
  let [deaths, taken] = [0, 0]

  const act = async (app: ReturnType<typeof appOn>) => {
    const change = (data: object) => app.aggregates.member.execute(pick(ids), { type: 'Change', data })
    const at = pick([null, minute(1), minute(2), minute(3)])
    const result = await pick([
      () => change({ email: pick([...values, null]) }),
      () => change({ tags: [pick(values), pick(values)] }),
      () => app.aggregates.seat.execute(pick(ids), { type: 'Hold', data: { until: at } }),
      () => app.drain(),
      () => app.adopt(pick([true, false]) ? member : seat),
    ])()
    if ('reason' in result && result.reason === 'taken') taken++
    if (random() < 0.02) clock.advance('1m')
  }
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (let left = 30; left > 0; ) {
        const { store: mortal, died } = dyingStore(told, random, 'together')
        const app = appOn(mortal)
        const work = async () => {
          for (; left > 0; left--) await act(app).catch(() => {})
          return 'done'
        }
        if ((await Promise.race([work(), died])) === 'done') break
        deaths++
        left--
      }
    }),
  )
  clock.advance('1h')
  const app = appOn(store)
  await app.drain()
  return { deaths, taken, ...(await problemsOf(app)) }
}

/** Stores the claims of a commit after its events, as a program without this library might. */
function apart(store: Store): Store {
  const one = async (commit: Commit): Promise<CommitOutcome> => {
    const claims = (commit.views ?? []).filter(({ name }) => name === '~unique')
    if (claims.length === 0 || commit.appends.length === 0) return (await store.append([commit]))[0] as CommitOutcome
    const rest = (commit.views ?? []).filter(({ name }) => name !== '~unique')
    const [outcome] = await store.append([{ ...commit, views: rest }])
    await store.append([{ id: `${commit.id}-claims`, appends: [], views: claims }])
    return outcome as CommitOutcome
  }
  return changed(store, { append: (commits) => Promise.all(commits.map(one)) })
}

/** Follows the log: at no moment do two members have one value, and nothing expires without its time. */
async function problemsOf(app: {
  events(): AsyncIterable<{ id: string; type: string; aggregateId: string; recordedAt: string; data?: unknown }>
  deadlines: { list(): Promise<{ items: readonly object[] }> }
  aggregates: { member: { execute(id: string, command: { type: 'Change'; data: object }): Promise<{ ok: boolean }> } }
}) {
  const problems: string[] = []
  const owned = new Map<string, readonly string[]>()
  const until = new Map<string, string | null>()
  const parts = new Map<string, { email?: string | null; tags?: readonly string[] }>()
  let expired = 0
  for await (const { id, type, aggregateId, recordedAt, data } of app.events()) {
    if (type === 'Changed') {
      const state = { ...parts.get(aggregateId), ...(data as object) }
      parts.set(aggregateId, state)
      const own = [...(state.email ? [`email ${state.email}`] : []), ...new Set(state.tags?.map((tag) => `tag ${tag}`))]
      owned.set(aggregateId, own)
      for (const [other, theirs] of owned)
        if (other !== aggregateId && theirs.some((value) => own.includes(value))) problems.push(`${id} has a value of ${other}`)
    } else if (type === 'Held') until.set(aggregateId, (data as { until: string | null }).until)
    else if (type === 'Expired') {
      const at = until.get(aggregateId) ?? null
      if (at === null || at > recordedAt) problems.push(`${id} expired at ${recordedAt}, not at ${at}`)
      until.set(aggregateId, null)
      expired++
    }
  }
  for (const [id, at] of until) if (at !== null) problems.push(`seat ${id} did not expire at ${at}`)
  for (const item of (await app.deadlines.list()).items) problems.push(`waits: ${JSON.stringify(item)}`)
  const all = [...owned.values()].flat()
  for (const email of values) {
    const { ok } = await app.aggregates.member.execute('other', { type: 'Change', data: { email } })
    if (ok === all.includes(`email ${email}`)) problems.push(`${email} is ${ok ? 'not protected' : 'claimed by nobody'}`)
    await app.aggregates.member.execute('other', { type: 'Change', data: { email: null } })
  }
  return { expired, problems }
}
