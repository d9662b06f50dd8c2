import type { Store } from 'cqrs-es'
import type { Commit, CommitOutcome, StoredView, ViewWrite } from 'cqrs-es/store'

/** How the command of a process and its instance are stored: together as promised, or in a way that must break. */
export type Way = 'together' | 'keyed' | 'apart'

const processRows = '~process/'
const chance = 0.03

/** A store of a worker that dies before or after any call: it never answers again. */
export function dyingStore(
  store: Store,
  random: () => number,
  way: Way,
): { readonly store: Store; readonly died: Promise<void> } {
  let die = () => {}
  let isDead = false
  const died = new Promise<void>((resolve) => {
    die = () => {
      isDead = true
      resolve()
    }
  })
  const never = () => new Promise<never>(() => {})
  const told = separating(store, way)
  const mortal =
    (call: (...args: unknown[]) => unknown) =>
    async (...args: unknown[]) => {
      for (let turns = Math.floor(random() * 4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
      if (!isDead && random() < chance) die()
      if (isDead) return never()
      const result = await call(...args)
      if (!isDead && random() < chance) die()
      return isDead ? never() : result
    }
  const proxy = new Proxy(told, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function' || name === 'watch') return member
      return mortal(member.bind(target))
    },
  })
  return { store: proxy, died }
}

/** Leaves commits as they are, or stores the events of a process before its instance: under a key, or without one. */
function separating(store: Store, way: Way): Store {
  /** Number of the command that an instance sends next, by its id and version. */
  const heads = new Map<string, number>()
  const note = (id: string, version: number, view: unknown) => {
    const [head] = (view as { readonly todo?: readonly { readonly n: number }[] } | null)?.todo ?? []
    if (head !== undefined) heads.set(`${id}@${version}`, head.n)
  }
  const noteRows = (rows: readonly (StoredView | undefined)[]) => {
    for (const row of rows) if (row?.name.startsWith(processRows)) note(row.id, row.version, row.view)
  }
  const append = async (commit: Commit): Promise<CommitOutcome> => {
    const rows = (commit.views ?? []).filter(({ name }) => name.startsWith(processRows))
    for (const { id, expectedVersion, view } of rows) note(id, expectedVersion + 1, view)
    const [row] = rows
    const one = async (part: Commit) => (await store.append([part]))[0] as CommitOutcome
    if (way === 'together' || row === undefined || commit.appends.length === 0) return one(commit)
    const { views: _, ...events } = commit
    const stored = await one(way === 'keyed' ? { ...events, key: keyOf(row) } : events)
    if (stored.kind === 'conflict' && stored.on !== 'key') return stored
    const saved = await one({ id: `${commit.id}-row`, appends: [], views: commit.views ?? [] })
    return saved.kind === 'conflict'
      ? saved
      : { kind: 'stored', positions: 'positions' in stored ? stored.positions : ['1' as never] }
  }
  const keyOf = ({ id, expectedVersion }: ViewWrite) => ({
    idempotencyKey: `${id}#${heads.get(`${id}@${expectedVersion}`)}`,
    commandHash: '',
  })
  const changes: Partial<Store> = {
    append: (commits) => Promise.all(commits.map(append)),
    readViews: async (keys) => {
      const rows = await store.readViews(keys)
      noteRows(rows)
      return rows
    },
    findViews: async (request) => {
      const page = await store.findViews(request)
      noteRows(page.items)
      return page
    },
    // Workers take over from each other all the time.
    acquireLease: (request) => store.acquireLease({ ...request, ttlMs: 1 }),
    renewLease: (request) => store.renewLease({ ...request, ttlMs: 1 }),
  }
  return new Proxy(store, {
    get(target, name) {
      const own = changes[name as keyof Store]
      if (own !== undefined && (way !== 'together' || String(name).endsWith('Lease'))) return own
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
