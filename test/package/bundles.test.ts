import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { describe, expect, test } from 'vitest'

const source = fileURLToPath(new URL('../../src', import.meta.url))

/** What a program takes from the package, and the modules that nothing else may bring into it. */
const kinds = {
  defineView: [
    'views/alarm.ts',
    'views/behind.ts',
    'views/changes-reader.ts',
    'views/changes.ts',
    'views/conditions.ts',
    'views/current.ts',
    'views/fold-rows.ts',
    'views/fold.ts',
    'views/generation-ready.ts',
    'views/generations.ts',
    'views/inline.ts',
    'views/listener.ts',
    'views/live-rows.ts',
    'views/news.ts',
    'views/rebuild.ts',
    'views/view-consumer.ts',
    'views/view-machinery.ts',
    'views/view.ts',
    'views/views.ts',
  ],
  defineSqlView: ['views/sql-rebuild.ts', 'views/sql-rows.ts', 'views/sql-view-machinery.ts', 'views/sql-view.ts'],
  defineSubscription: [
    'subscriptions/deliver.ts',
    'subscriptions/machinery.ts',
    'subscriptions/once.ts',
    'subscriptions/reaction.ts',
    'subscriptions/subscription.ts',
  ],
  unique: ['unique/claims.ts', 'unique/missing.ts', 'unique/rows.ts', 'unique/unique.ts'],
  deadlines: [
    'deadlines/consumer.ts',
    'deadlines/deadline-row.ts',
    'deadlines/deadlines.ts',
    'deadlines/handle.ts',
    'deadlines/rows.ts',
    'deadlines/send-deadline.ts',
    'deadlines/wanted.ts',
    'deadlines/work.ts',
  ],
  defineProcess: [
    'processes/decide-step.ts',
    'processes/fold-instances.ts',
    'processes/handle.ts',
    'processes/instance-cache.ts',
    'processes/instance-row.ts',
    'processes/instances.ts',
    'processes/jobs.ts',
    'processes/machinery.ts',
    'processes/make-call.ts',
    'processes/observe-steps.ts',
    'processes/process-consumer.ts',
    'processes/process.ts',
    'processes/retry-input.ts',
    'processes/send-command.ts',
    'processes/send-failures.ts',
    'processes/take-step.ts',
    'processes/work-core.ts',
    'processes/work.ts',
  ],
  definePublication: [
    'publications/build-publication.ts',
    'publications/machinery.ts',
    'publications/map-events.ts',
    'publications/publication.ts',
    'publications/publishing.ts',
    'publications/replay.ts',
    'publications/round.ts',
    'publications/send.ts',
    'publications/target.ts',
    'publications/to-cloud-event.ts',
  ],
  defineInbox: ['inboxes/build-inbox.ts', 'inboxes/check-cloud-event.ts', 'inboxes/inbox.ts', 'inboxes/receive.ts'],
} as const
type Kind = keyof typeof kinds
const names = Object.keys(kinds) as Kind[]

describe('a bundled program', async () => {
  const followings = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await bundled(name)])))

  test("a program with only aggregates bundles only createApp's checks of other definitions", async () => {
    expect(await bundled()).toEqual([
      'consumers/waiting.ts',
      'inboxes/inbox-definition.ts',
      'processes/definition.ts',
      'publications/publication-definition.ts',
      'subscriptions/definition.ts',
      'views/view-definition.ts',
    ])
  })

  test.each(names)('a program with %s bundles what that needs and nothing of the others', (kind) => {
    const elsewhere = new Set(names.filter((name) => name !== kind).flatMap((name) => followings[name] as string[]))
    expect((followings[kind] as string[]).filter((module) => !elsewhere.has(module))).toEqual(kinds[kind])
  })

  test('a program with several of them bundles shared modules once and nothing else', async () => {
    const all = await bundled(...names)
    expect(all).toEqual([...new Set(Object.values(followings).flat())].sort())
  })
})

const inMessaging = ['definePublication', 'defineInbox']

/** The modules of these folders that a bundler leaves in a program which takes these from the package. */
async function bundled(...imports: readonly string[]): Promise<readonly string[]> {
  const main = ['createApp', 'defineAggregate', ...imports.filter((name) => !inMessaging.includes(name))]
  const messaging = imports.filter((name) => inMessaging.includes(name))
  const contents = `export { ${main.join(', ')} } from './index.ts'; export { ${messaging.join(', ')} } from './messaging/index.ts'`
  const { metafile } = await build({
    absWorkingDir: source,
    stdin: { contents, resolveDir: source },
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    treeShaking: true,
    metafile: true,
    write: false,
  })
  const [output] = Object.values(metafile.outputs)
  return Object.entries(output?.inputs ?? {})
    .filter(
      ([module, { bytesInOutput }]) =>
        /^(views|subscriptions|processes|due|publications|inboxes|messaging|consumers|rules|unique|deadlines)\//.test(module) &&
        bytesInOutput > 0,
    )
    .map(([module]) => module)
    .sort()
}
