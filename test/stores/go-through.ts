import type { CommitOutcome, Position, Store } from 'cqrs-es/store'
import { commit } from './commits.ts'

export type Answer = { readonly value: unknown } | { readonly error: unknown }

/** Goes through the store, with texts that no small character set has, in rows of its own. The answers are the same each time. */
export async function goThrough(store: Store, start: Position | undefined): Promise<Record<string, Answer>> {
  const tag = `漢字 \u{1f600} ${String(++runs).padStart(6, '0')} `
  const account = `${tag}a`
  const name = `${tag}view`
  const aggregate = { aggregateType: 'account', aggregateId: account }
  const [opening] = commit(`${tag}c1`, account, 0, [{ owner: 'Zoë', 漢: '\u{1f600}' }, 'ä', '']).appends
  if (opening === undefined) throw new Error('no append')
  const row = (id: string, by: string) => ({
    ...{ name, generation: 1, id, expectedVersion: 0, view: { by, empty: '' } },
    indexes: [{ index: 'by', value: by }],
  })
  const whole = {
    id: `${tag}c1`,
    appends: [{ ...opening, snapshot: { stateVersion: 'é', state: { owner: 'Zoë' } } }],
    key: { idempotencyKey: `${tag}key`, commandHash: 'ß' },
    views: [row('ö', '4x'), row('o', '4y'), row('', '4x')],
  }
  const lease = { name: `${tag}lease`, ttlMs: 60_000 }
  const answers: Record<string, Answer> = {}
  let from = start
  const steps: Record<string, () => Promise<unknown>> = {
    createSchema: () => store.createSchema(),
    lastPosition: async () => {
      from = await store.lastPosition()
    },
    append: async () => outcomeOf(await store.append([whole, commit(`${tag}c2`, account, 3, ['x'])])),
    'append again': async () => outcomeOf(await store.append([whole])),
    'append after a lost race': async () => outcomeOf(await store.append([commit(`${tag}c3`, account, 0)])),
    'append with a key that is taken': async () =>
      outcomeOf(await store.append([{ ...whole, ...commit(`${tag}c4`, account, 4), views: [] }])),
    readAggregate: () => store.readAggregate({ ...aggregate, after: 0 }),
    'readAggregate with its snapshot': () => store.readAggregate({ ...aggregate, after: 0, snapshot: { stateVersion: 'é' } }),
    'readAggregate of none': () => store.readAggregate({ ...aggregate, aggregateId: `${tag}none`, after: 0 }),
    readKey: () => store.readKey({ ...aggregate, idempotencyKey: `${tag}key` }),
    readIds: () => store.readIds({ aggregateType: 'account', after: tag, limit: 1 }),
    'readIds from the beginning': async () => (await store.readIds({ aggregateType: 'account', limit: 1 })).items.length,
    readFeed: () => store.readFeed({ ...(from !== undefined && { after: from }), limit: 100 }),
    'readFeed of a type': () =>
      store.readFeed({
        ...(from !== undefined && { after: from }),
        only: [{ aggregateType: 'account', eventTypes: ['MoneyDeposited'] }],
        limit: 2,
      }),
    'readViews of one': () => store.readViews([{ name, generation: 'live', id: 'ö' }]),
    'readViews of a generation': () => store.readViews([{ name, generation: 1, id: '' }]),
    'readViews of several': () => store.readViews(['o', 'none', 'ö'].map((id) => ({ name, generation: 'live', id }))),
    findViews: () => store.findViews({ name, generation: 'live', where: [{ index: 'by', is: '=', value: '4x' }], limit: 5 }),
    'findViews in order': () => store.findViews({ name, generation: 1, where: [], orderBy: { index: 'by' }, limit: 2 }),
    acquireLease: () => store.acquireLease({ ...lease, holder: 'ñ' }),
    'acquireLease that is held': async () => ({ ...(await store.acquireLease({ ...lease, holder: 'n' })), remainingMs: 0 }),
    'append of a checkpoint': async () =>
      outcomeOf(await store.append([{ id: `${tag}p1`, appends: [], checkpoint: { name: lease.name, fence: 1, position: '1' } }])),
    transact: async () => {
      const move = { id: `${tag}p2`, checkpoint: { name: lease.name, fence: 1, position: '2' } }
      const outcome = await store.transact?.(move, () => {})
      return outcomeOf(outcome === undefined ? [] : [outcome])
    },
    readCheckpoint: async () => Object.values((await store.readCheckpoint(lease.name)) ?? {}),
    readConsumers: async () =>
      (await store.readConsumers?.([tag, lease.name]))?.map(({ checkpoint, lease: held }) => [
        ...Object.values(checkpoint ?? {}),
        held?.holder,
        held?.fence,
      ]),
    renewLease: () => store.renewLease({ ...lease, fence: 1 }),
    'renewLease that is lost': () => store.renewLease({ ...lease, fence: 7 }),
    releaseLease: () => store.releaseLease({ ...lease, fence: 1 }),
    addViewGeneration: () => store.addViewGeneration({ name, generation: 2, viewVersion: 'ü' }),
    switchViewGeneration: () => store.switchViewGeneration({ name, from: 1, to: 2 }),
    removeViewGeneration: () => store.removeViewGeneration({ name, generation: 1 }),
    viewGenerations: () => store.viewGenerations(name),
  }
  for (const [step, work] of Object.entries(steps)) {
    answers[step] = await work().then(
      (value) => ({ value: relative(value, tag, from) }),
      (error) => ({ error }),
    )
  }
  return answers
}

let runs = 0

/** @throws what the store says of a commit that failed */
function outcomeOf(outcomes: readonly CommitOutcome[]): readonly CommitOutcome[] {
  for (const outcome of outcomes) if (outcome.kind === 'failed') throw outcome.cause
  return outcomes
}

/** Without what differs from one time to the next. */
function relative(value: unknown, tag: string, from: Position | undefined): unknown {
  const text = JSON.stringify(value, (key, inner) => {
    const past = (position: unknown) => `+${Number(position) - Number(from ?? 0)}`
    if (key === 'position' && typeof inner === 'string') return past(inner)
    return key === 'positions' ? (inner as string[]).map(past) : inner
  })
  return text === undefined ? undefined : JSON.parse(text.replaceAll(tag, ''))
}
