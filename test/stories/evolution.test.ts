import {
  createApp,
  defineAggregate,
  noData,
  type Shape,
  type Store,
  semanticVersionUpcaster,
  typed,
  type Upcaster,
  versions,
} from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { collect, failureOf, thrownBy } from '../support/async.ts'
import { storedBefore } from '../support/stored.ts'

/** An account book that keeps what it is told, whatever that is. */
const bookOf = (written: Shape, upcasters: readonly Upcaster[] = []) =>
  defineAggregate({
    type: 'book',
    events: { Written: written as ReturnType<typeof typed<unknown>>, Opened: noData },
    commands: { Write: typed<unknown>(), Open: noData },
    initialState: (): { pages: readonly unknown[] } => ({ pages: [] }),
    upcasters,
  }).implement({
    handle: { Write: (_, data) => ({ type: 'Written', data }), Open: () => ({ type: 'Opened' }) },
    apply: { Written: ({ pages }, data) => ({ pages: [...pages, data] }), Opened: (state) => state },
  })
const anything = typed<unknown>()
const books = (store: Store, written: Shape = anything, upcasters?: readonly Upcaster[]) =>
  createApp({ store, aggregates: { books: bookOf(written, upcasters) } }).aggregates.books

const cents = versions('2.0', z.object({ cents: z.number().int() }), {
  '1.0': (old: { euros: number }) => ({ cents: old.euros * 100 }),
  '1.1': (old: { amount: number }) => ({ cents: old.amount }),
})

describe('versions of an event', () => {
  test('events of each older version are read through its function', async () => {
    const store = memoryStore()
    await storedBefore(
      store,
      'book',
      'b',
      { type: 'Written', version: '1.0', data: { euros: 3 } },
      { type: 'Written', version: '1.1.0', data: { amount: 42 } },
      { type: 'Written', version: '1', data: { euros: 4 } },
    )
    const b = books(store, cents)
    expect((await b.load('b')).state).toEqual({ pages: [{ cents: 300 }, { cents: 42 }, { cents: 400 }] })
    const events = await collect(b.events('b'))
    expect(events.map(({ version, data }) => ({ version, data }))).toEqual(
      [300, 42, 400].map((n) => ({ version: '2.0', data: { cents: n } })),
    )
  })

  test('new events are stored with the declared version', async () => {
    const store = memoryStore()
    const result = await books(store, cents).execute('b', { type: 'Write', data: { cents: 7 } })
    expect(result).toMatchObject({ events: [{ version: '2.0', data: { cents: 7 } }] })
    const { events } = await store.readAggregate({ aggregateType: 'book', aggregateId: 'b', after: 0 })
    expect(events).toMatchObject([{ version: '2.0', data: { cents: 7 } }])
  })

  test('the result of a versions() function must fit the current schema', async () => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Written', version: '1.0', data: { euros: 0.125 } })
    const error = await failureOf(books(store, cents).load('b'))
    expect(error).toMatchObject({ code: 'DESERIALIZATION', aggregateId: 'b', sequence: 1 })
    expect(error.message).toContain('cents')
  })

  test('a versions() result that the schema would change is refused', async () => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Written', version: '1.0', data: { a: 1 } })
    const strips = versions('2.0', z.object({ a: z.number() }), { '1.0': (old: { a: number }) => ({ ...old, extra: true }) })
    const error = await failureOf(books(store, strips).load('b'))
    expect(error.code).toBe('DESERIALIZATION')
    expect(error.message).toContain('extra')
  })

  test('an error in a versions() function is reported with its event', async () => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Opened' }, { type: 'Written', data: null })
    const error = await failureOf(books(store, cents).load('b'))
    expect(error).toMatchObject({ code: 'DESERIALIZATION', sequence: 2, cause: expect.any(TypeError) })
    expect(error.message).toContain("Event 2 of book 'b' (Written 1.0)")
  })

  test.each([
    ['text', () => versions('two', anything, {})],
    ['nothing', () => versions('', anything, {})],
    ['a trailing dot', () => versions('1.', anything, {})],
    ['text, for an older one', () => versions('2.0', anything, { old: () => 0 })],
    ['two of one older version', () => versions('2.0', anything, { '1': () => 0, '1.0': () => 0 })],
    ['the same version as an older one', () => versions('2.0', anything, { '2.0.0': () => 0 })],
    ['a newer version as an older one', () => versions('2.0', anything, { '2.1': () => 0 })],
    ['no function', () => versions('2.0', anything, { '1.0': 7 as never })],
    ['versions of versions', () => bookOf(versions('2.0', versions('1.0', anything, {}), {}))],
  ])('versions() refuses %s', (_, define) => {
    expect(thrownBy(define).code).toBe('DEFINITION')
  })

  test('defineAggregate refuses versions() of a command', () => {
    const define = () =>
      defineAggregate({ type: 'x', events: {}, commands: { Do: versions('2.0', anything, {}) }, initialState: () => 0 })
    expect(thrownBy(define).message).toContain("'Do'")
  })
})

describe('a semantic-version upcaster', () => {
  const upcaster = semanticVersionUpcaster('Written', '1.2', (data) => ({ ...data, currency: 'EUR' }))

  test('semanticVersionUpcaster upcasts older versions of its type only', () => {
    for (const older of ['0.9', '1', '1.1', '1.1.9', '1.0.0.9'])
      expect([older, upcaster.canUpcast('Written', older)]).toEqual([older, true])
    for (const other of ['1.2', '1.2.0', '1.2.0.7', '1.10', '2', '3.0.1', 'x', ''])
      expect([other, upcaster.canUpcast('Written', other)]).toEqual([other, false])
    expect(upcaster.canUpcast('Other', '1.0')).toBe(false)
  })

  test('semanticVersionUpcaster changes data and version and keeps the rest', () => {
    const old = { type: 'Written', version: '1.0', data: { amount: 1 }, metadata: { userId: 'u' } }
    expect(upcaster.upcast(old)).toEqual({ ...old, version: '1.2.0', data: { amount: 1, currency: 'EUR' } })
  })

  test.each(['', 'one', '1.', '.1', '1..2', '1.x', '1.2.x', '-1', '1.-2', '1.2-beta', ' 1', '1,2'])(
    'semanticVersionUpcaster refuses the version %j',
    (text) => {
      expect(thrownBy(() => semanticVersionUpcaster('Written', text, (data) => data)).code).toBe('DEFINITION')
    },
  )

  test.each([
    ['1', '1.0.0'],
    ['1.2', '1.2.0'],
    ['1.2.3', '1.2.3'],
    ['1.2.3.4', '1.2.3'],
    ['01.002', '1.2.0'],
  ])('semanticVersionUpcaster reads the version %s as %s', (text, read) => {
    const { upcast } = semanticVersionUpcaster('Written', text, (data) => data)
    expect(upcast({ type: 'Written', version: '0', data: {}, metadata: {} })).toMatchObject({ version: read })
  })

  test('semanticVersionUpcaster applies to load() and events()', async () => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Written', data: { amount: 1 }, metadata: { userId: 'u' } })
    const b = books(store, versions('1.2', anything, {}), [upcaster])
    expect((await b.load('b')).state.pages).toEqual([{ amount: 1, currency: 'EUR' }])
    const [event] = await collect(b.events('b'))
    expect(event).toMatchObject({
      id: 'book/b/1',
      version: '1.2',
      metadata: { userId: 'u' },
      data: { amount: 1, currency: 'EUR' },
    })
    const { events } = await store.readAggregate({ aggregateType: 'book', aggregateId: 'b', after: 0 })
    expect(events).toMatchObject([{ version: '1.0', data: { amount: 1 } }])
  })
})

describe('upcasters', () => {
  const from = (type: string, upcast: Upcaster['upcast']): Upcaster => ({ canUpcast: (candidate) => candidate === type, upcast })
  const rename = from('Noted', (event) => ({ ...event, type: 'Written' }))

  test('an upcaster renames an event', async () => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Noted', data: 'hello' })
    expect((await books(store, anything, [rename]).load('b')).state.pages).toEqual(['hello'])
  })

  test('an upcaster splits an event into parts with one sequence, and the first keeps the id', async () => {
    const store = memoryStore()
    const split = from('WrittenAll', (event) => (event.data as unknown[]).map((data) => ({ ...event, type: 'Written', data })))
    await storedBefore(
      store,
      'book',
      'b',
      { type: 'WrittenAll', data: [1, 2, 3] },
      { type: 'WrittenAll', data: [4] },
      { type: 'Opened' },
    )
    const b = books(store, anything, [split])
    expect(await b.load('b')).toEqual({ state: { pages: [1, 2, 3, 4] }, sequence: 3 })
    expect((await collect(b.events('b'))).map(({ id, sequence }) => [id, sequence])).toEqual([
      ['book/b/1', 1],
      ['book/b/1.2', 1],
      ['book/b/1.3', 1],
      ['book/b/2', 2],
      ['book/b/3', 3],
    ])
    expect(await b.execute('b', { type: 'Write', data: 5 })).toMatchObject({ sequence: 4, state: { pages: [1, 2, 3, 4, 5] } })
  })

  test('an upcaster drops events, and the next command takes the next sequence', async () => {
    const store = memoryStore()
    const drop = from('Typo', () => [])
    await storedBefore(store, 'book', 'b', { type: 'Typo' }, { type: 'Written', data: 'a' }, { type: 'Typo' })
    const b = books(store, anything, [drop])
    expect(await b.load('b')).toEqual({ state: { pages: ['a'] }, sequence: 3 })
    expect((await collect(b.events('b'))).map((e) => e.sequence)).toEqual([2])
    expect(await b.execute('b', { type: 'Write', data: 'b' })).toMatchObject({ ok: true, sequence: 4 })
  })

  test('upcasters run in list order, each on the results of those before', async () => {
    const store = memoryStore()
    const mark = (by: string) => from('Written', (event) => ({ ...event, data: `${event.data}${by}`, version: '2' }))
    const once = (by: string): Upcaster => ({
      ...mark(by),
      canUpcast: (type, version) => type === 'Written' && version === '1.0',
    })
    const split = { ...once(''), upcast: (event) => [event, { ...event, data: `${event.data}'` }] } as Upcaster
    const late = { ...mark('c'), canUpcast: (type: string, version: string) => type === 'Written' && version === '2' }
    await storedBefore(store, 'book', 'b', { type: 'Noted', data: 'x' })
    const b = books(store, versions('3.0', anything, { '2.0': (data) => `${data}!` }), [
      rename,
      split,
      once('b'),
      once('never'),
      late,
    ])
    expect((await b.load('b')).state.pages).toEqual(['xbc!', "x'bc!"])
  })

  test('defineAggregate refuses upcasters that would change new events', () => {
    const error = thrownBy(() => bookOf(anything, [semanticVersionUpcaster('Written', '1.1', (data) => data)]))
    expect(error.code).toBe('DEFINITION')
    expect(error.message).toContain('upcasters[0]')
    expect(error.message).toContain("'Written'")
    bookOf(versions('1.1', anything, {}), [semanticVersionUpcaster('Written', '1.1', (data) => data)])
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('no idea')
      },
    ],
    ['returns nothing', () => undefined],
    ['returns a promise', async (event: unknown) => event],
  ])('an upcaster that %s is reported with its event', async (_, upcast) => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Noted', data: 1 })
    const error = await failureOf(books(store, anything, [from('Noted', upcast as unknown as Upcaster['upcast'])]).load('b'))
    expect(error).toMatchObject({ code: 'DESERIALIZATION', aggregateType: 'book', aggregateId: 'b', sequence: 1 })
    expect(error.message).toContain("Event 1 of book 'b' (Noted 1.0)")
  })
})

describe('a stored event that this program cannot read', () => {
  test.each([
    ['of an unknown type', { type: 'Burnt' }, 'of a type that this program does not know'],
    ['of a newer version', { type: 'Written', version: '9.0' }, 'newer than 2.0'],
    ['of an older version without a function', { type: 'Written', version: '0.5' }, 'no migration leads from its version 0.5'],
    ['with an invalid version', { type: 'Written', version: 'x' }, 'is not a version'],
    ['whose data the schema refuses', { type: 'Written', version: '2.0', data: { cents: 'many' } }, 'cents'],
    ['with data though its type has none', { type: 'Opened', data: { surprise: true } }, 'takes no data'],
  ])('an event %s stops load, events and commands, and the error shows a way out', async (_, event, words) => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Opened' }, event)
    await storedBefore(store, 'book', 'fine', { type: 'Opened' })
    const b = books(store, cents)
    for (const asked of [b.load('b'), collect(b.events('b')), b.execute('b', { type: 'Open' })]) {
      const error = await failureOf(asked)
      expect(error).toMatchObject({ code: 'DESERIALIZATION', aggregateType: 'book', aggregateId: 'b', sequence: 2 })
      expect(error.message).toContain("Event 2 of book 'b'")
      expect(error.message).toContain(words)
    }
    expect(await b.execute('fine', { type: 'Open' })).toMatchObject({ ok: true, sequence: 2 })
    expect(await b.load('b', { asOf: 1 })).toMatchObject({ sequence: 1 })
  })

  test('a DeserializationError has the path that the schema refused', async () => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Written', version: '2.0', data: { cents: 'many' } })
    expect(await failureOf(books(store, cents).load('b'))).toMatchObject({
      code: 'DESERIALIZATION',
      issues: [{ path: ['cents'] }],
    })
  })
})

test('an event with an asynchronous schema is refused', async () => {
  const slow = z.object({ n: z.number() }).refine(async () => true)
  const store = memoryStore()
  const error = await failureOf(books(store, slow).execute('b', { type: 'Write', data: { n: 1 } }))
  expect(error.code).toBe('INVALID_EVENT')
  expect(error.message).toContain('asynchronous')
  expect(await store.lastPosition()).toBeUndefined()
})

describe('an upcaster with an invalid result', () => {
  const event = { type: 'Written', version: '1.0', data: 1, metadata: {} }
  const { metadata: _, ...bare } = event
  const hole: unknown[] = [event]
  hole.length = 2
  const late = () => new Promise<never>((_, reject) => setImmediate(() => reject(new Error('late'))))

  test.each<[string, () => unknown, string]>([
    ['no metadata', () => bare, 'returned Written without metadata'],
    ['metadata that is a text', () => ({ ...event, metadata: 'x' }), 'returned Written without metadata'],
    ['metadata that is a list', () => ({ ...event, metadata: [] }), 'returned Written without metadata'],
    ['metadata that is no JSON', () => ({ ...event, metadata: { at: new Date(0) } }), 'metadata of Written that is not JSON'],
    ['data that is no JSON', () => ({ ...event, data: new Map() }), 'data of Written that is not JSON: it is a Map'],
    ['data that is a promise', () => ({ ...event, data: late() }), 'returned a promise'],
    ['data deep down that is no number', () => ({ ...event, data: { a: [Number.NaN] } }), 'a[0] is NaN'],
    ['no data', () => ({ ...event, data: undefined }), 'its upcaster returned no data'],
    ['no type', () => ({ ...event, type: undefined }), 'an event whose type must be a text'],
    ['an empty type', () => ({ ...event, type: '' }), 'an event whose type must not be empty'],
    ['a type that is not declared', () => ({ ...event, type: 'Lost' }), "(upcast by upcasters[1] to 'Lost' 1.0) is of a type"],
    ['a version that is a number', () => ({ ...event, version: 1 }), 'whose version must be a text'],
    ['a version that is none', () => ({ ...event, version: 'new' }), "its version 'new' is not a version"],
    ['nothing', () => undefined, 'returned undefined; expected an event'],
    ['null', () => null, 'returned null; expected an event'],
    ['a text', () => 'Written', 'returned string; expected an event'],
    ['a set of events', () => new Set([event]), 'an event whose type must be a text'],
    ['a list of lists', () => [[event]], 'returned object; expected an event'],
    ['a list with a hole', () => hole, 'returned undefined; expected an event'],
    ['a list with a promise', () => [Promise.resolve(event)], 'returned a promise'],
    ['a promise', async () => event, 'returned a promise'],
    ['a promise that is refused', late, 'returned a promise'],
    ['an error', () => reject(new TypeError('no such field')), 'upcasters[1] threw: no such field.'],
    ['an error of the package', () => reject(thrownBy(() => versions('x', anything, {}))), 'upcasters[1] threw: versions('],
  ])("an invalid upcaster result is refused with the event and the upcaster's index: %s", async (_, upcast, words) => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Opened' }, { type: 'Noted', data: { secret: 1 } })
    const pass: Upcaster = { canUpcast: () => false, upcast: (one) => one }
    const wrong = { canUpcast: (type: string) => type === 'Noted', upcast } as unknown as Upcaster
    const app = createApp({ store, aggregates: { books: bookOf(z.any(), [pass, wrong]) } })
    for (const reading of [app.aggregates.books.load('b'), collect(app.aggregates.books.events('b')), app.replay(() => {})]) {
      const error = await failureOf(reading)
      expect(error).toMatchObject({ code: 'DESERIALIZATION', kind: 'unreadable', aggregateId: 'b', sequence: 2 })
      expect(error.message).toContain("Event 2 of book 'b' (Noted 1.0)")
      expect(error.message).toContain(words)
      expect(error.message).not.toContain('secret')
      expect(error.message).toContain('upcasters[1]')
    }
    // A promise that is refused later is nobody's.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  })

  const reject = (error: Error) => {
    throw error
  }

  test.each<[string, () => unknown, string]>([
    ['throws', () => reject(new Error('odd')), 'upcasters[0] threw: odd.'],
    ['is asynchronous', () => late(), 'upcasters[0].canUpcast returned a promise'],
  ])('an upcaster whose canUpcast %s is refused', async (_, answer, words) => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Noted' })
    const canUpcast = (type: string) => (type === 'Noted' ? answer() : false)
    const error = await failureOf(books(store, anything, [{ canUpcast, upcast: (one: unknown) => one } as never]).load('b'))
    expect(error).toMatchObject({ code: 'DESERIALIZATION', sequence: 1 })
    expect(error.message).toContain(words)
  })

  test('an upcaster cannot change the id or the sequence of a stored event', async () => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Noted', data: 1 })
    const mutating: Upcaster = {
      canUpcast: (type) => type === 'Noted',
      upcast: (one) => Object.assign(one, { type: 'Written', id: 'mine', sequence: 7 }),
    }
    const [read] = await collect(books(store, anything, [mutating]).events('b'))
    expect(read).toMatchObject({ id: 'book/b/1', sequence: 1, type: 'Written' })
  })

  test.each<[string, () => unknown, string]>([
    ['a promise', async () => 1, 'its function in versions() returned a promise'],
    ['a promise that is refused', late, 'its function in versions() returned a promise'],
    ['nothing', () => undefined, 'undefined cannot be stored as JSON'],
    ['a function', () => () => 1, 'function cannot be stored as JSON'],
    ['an error', () => reject(new Error('odd')), 'its function in versions() for 1.0 threw: odd.'],
  ])('a versions() function with the result %s is refused', async (_, migrate, words) => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Written', data: 1 })
    const error = await failureOf(books(store, versions('2.0', anything, { '1.0': migrate as never })).load('b'))
    expect(error).toMatchObject({ code: 'DESERIALIZATION', sequence: 1 })
    expect(error.message).toContain("Event 1 of book 'b' (Written 1.0)")
    expect(error.message).toContain(words)
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  })

  test('a versions() function may lead to an event without data', async () => {
    for (const nothing of [undefined, {}]) {
      const store = memoryStore()
      await storedBefore(store, 'book', 'b', { type: 'Written', data: { by: 'ann' } })
      const events = await collect(books(store, versions('2.0', noData, { '1.0': () => nothing as never })).events('b'))
      expect(events).toMatchObject([{ type: 'Written', version: '2.0' }])
      expect(events[0]).not.toHaveProperty('data')
    }
  })
})

describe('the kind of a DeserializationError', () => {
  test.each([
    ['a later version', { type: 'Written', version: '2.0' }, 'outdated'],
    ['an unknown type', { type: 'Lost' }, 'outdated'],
    ['an older version without a function', { type: 'Written', version: '0.5' }, 'unreadable'],
    ['data that does not fit', { type: 'Opened', data: { more: 1 } }, 'unreadable'],
  ] as const)('a DeserializationError has the right kind for %s', async (_, old, kind) => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', old)
    expect(await failureOf(books(store).load('b'))).toMatchObject({ code: 'DESERIALIZATION', kind })
  })

  test('the kind of a later version is outdated even if an upcaster fails on it', async () => {
    const store = memoryStore()
    await storedBefore(store, 'book', 'b', { type: 'Written', version: '2.0' })
    const upcasters: Upcaster[] = [{ canUpcast: (_, version) => version !== '1.0', upcast: () => undefined as never }]
    expect(await failureOf(books(store, anything, upcasters).load('b'))).toMatchObject({ kind: 'outdated' })
  })
})
