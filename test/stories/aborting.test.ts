import { createApp, defineAggregate, noData, platformRuntime, type Runtime } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { changed, overtaken, sendingBy } from '../support/stores.ts'

const appOn = (store = memoryStore()) => createApp({ store, aggregates: { counter } }).aggregates.counter

describe('an aborted command', () => {
  test('an aborted command stores nothing when its signal aborted before execute()', async () => {
    const store = memoryStore()
    const { signal, abort } = abortable()
    abort('changed my mind')
    expect(await failureOf(appOn(store).execute('c', count(1), { signal }))).toBe('changed my mind')
    expect(await store.lastPosition()).toBeUndefined()
  })

  test('an aborted command stores nothing when its handler ignores the signal and returns an event', async () => {
    const slow = defineAggregate({
      type: 'slow',
      events: { Done: noData },
      commands: { Do: noData },
      initialState: () => 0,
    }).implement({
      handle: {
        Do: (_, __, { signal }) => {
          abort('too slow')
          return signal.aborted ? { type: 'Done' } : undefined
        },
      },
      apply: { Done: (n) => n + 1 },
    })
    const { signal, abort } = abortable()
    const store = memoryStore()
    const app = createApp({ store, aggregates: { slow } })
    expect(await failureOf(app.aggregates.slow.execute('s', { type: 'Do' }, { signal }))).toBe('too slow')
    expect(await store.lastPosition()).toBeUndefined()
  })

  test('a command aborted during its load stores nothing', async () => {
    const { signal, abort } = abortable()
    const store = memoryStore()
    const read = changed(store, {
      readAggregate: async (request) => {
        abort('too late')
        return store.readAggregate(request)
      },
    })
    expect(await failureOf(appOn(read).execute('c', count(1), { signal }))).toBe('too late')
    expect(await store.lastPosition()).toBeUndefined()
  })

  test('a command aborted during its append returns its result', async () => {
    const { signal, abort } = abortable()
    const store = sendingBy(memoryStore(), async (commit, really) => {
      abort('too late')
      return really(commit)
    })
    expect(await appOn(store).execute('c', count(1), { signal })).toMatchObject({ ok: true, sequence: 1 })
  })

  test('a command aborted between two attempts does not wait for the next one', async () => {
    const { signal, abort } = abortable()
    const store = memoryStore()
    const runtime: Runtime = {
      ...platformRuntime,
      sleep: (_, given) => {
        queueMicrotask(() => abort('enough'))
        return new Promise((_resolve, fail) => given?.addEventListener('abort', () => fail(given.reason)))
      },
    }
    const contested = overtaken(store, () => appOn(store).execute('c', count(1)))
    const { counter: c } = createApp({ store: contested, aggregates: { counter }, runtime }).aggregates
    expect(await failureOf(c.execute('c', count(1), { signal }))).toBe('enough')
    expect(await store.lastPosition()).toBe('1')
  })
})

function abortable() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: (reason: string) => controller.abort(reason) }
}
