import { defineAggregate, noData, reject, typed, unique } from 'cqrs-es'

interface State {
  readonly email: string | null
  readonly name: string | null
  readonly tags: readonly string[]
  readonly visits: number
}

/** Has an e-mail address, a name and tags that no other member has. */
export const member = defineAggregate({
  type: 'member',
  events: { Changed: typed<Partial<State>>(), Visited: noData },
  commands: { Change: typed<Partial<State>>(), Visit: noData, Add: typed<{ tag: string }>(), AddFirst: typed<{ tag: string }>() },
  initialState: (): State => ({ email: null, name: null, tags: [], visits: 0 }),
  unique: {
    email: ({ email }) => email?.trim().toLowerCase(),
    name: ({ name }) => name,
    tag: ({ tags }) => tags,
  },
  with: [unique],
}).implement({
  handle: {
    Change: (_, data) => (data.name === 'nobody' ? reject('no-name') : { type: 'Changed', data }),
    Visit: () => ({ type: 'Visited' }),
    AddFirst: ({ visits }, { tag }) => (visits === 0 ? { type: 'Changed', data: { tags: [tag] } } : undefined),
    Add: ({ tags }, { tag }) => ({ type: 'Changed', data: { tags: [...tags, tag] } }),
  },
  apply: {
    Changed: (state, data) => ({ ...state, ...data }),
    Visited: (state) => ({ ...state, visits: state.visits + 1 }),
  },
})

/** The same type before it had unique values. */
export const formerMember = defineAggregate({
  type: 'member',
  events: { Changed: typed<Partial<State>>(), Visited: noData },
  commands: { Change: typed<Partial<State>>() },
  initialState: (): State => ({ email: null, name: null, tags: [], visits: 0 }),
}).implement({
  handle: { Change: (_, data) => ({ type: 'Changed', data }) },
  apply: {
    Changed: (state, data) => ({ ...state, ...data }),
    Visited: (state) => ({ ...state, visits: state.visits + 1 }),
  },
})
