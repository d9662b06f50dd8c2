import type { Capabilities } from '../store/store.ts'
import type { TestDatabase } from './host.ts'

/** Cases of one subject by name. Names are sentences, unique in the whole suite. */
export type Cases = Readonly<Record<string, Body | ConditionalCase>>

export type Body = (database: TestDatabase) => Promise<void>

export interface ConditionalCase {
  readonly requirements: readonly Requirement[]
  readonly body: Body
  /** `false`: on a database without the schema. */
  readonly schema: boolean
}

/** Abilities of a store and its host, on which cases depend. */
export interface Given {
  readonly capabilities: Capabilities
  readonly transacts: boolean
  readonly schema: 'required' | 'none'
  readonly tellsChanges: boolean
  readonly readsConsumers: boolean
  readonly leasesHaveCheckpoints: boolean
  readonly corruptsEvents: boolean
  readonly corruptsSnapshots: boolean
  readonly losesEvents: boolean
}

/** Returns the reason why a case does not apply, `undefined` if it does. */
export type Requirement = (given: Given) => string | undefined

export const when = (requirements: Requirement | readonly Requirement[], body: Body): ConditionalCase => ({
  requirements: typeof requirements === 'function' ? [requirements] : requirements,
  body,
  schema: true,
})

export const withoutSchema = (body: Body): ConditionalCase => ({ requirements: [schemaRequired], body, schema: false })

export const globalOrder: Requirement = ({ capabilities }) =>
  capabilities.globalOrder ? undefined : 'the store has no global order'

export const noGlobalOrder: Requirement = ({ capabilities }) =>
  capabilities.globalOrder ? 'the store has a global order' : undefined

export const push: Requirement = ({ capabilities }) => (capabilities.push ? undefined : 'the store has no push wake-up')

export const transactions: Requirement = ({ transacts }) => (transacts ? undefined : 'the store has no `transact`')
export const followed: Requirement = ({ tellsChanges }) => (tellsChanges ? undefined : 'the store has no `readChanges`')

export const consumers: Requirement = ({ readsConsumers }) => (readsConsumers ? undefined : 'the store has no `readConsumers`')

export const leaseCheckpoints: Requirement = ({ leasesHaveCheckpoints }) =>
  leasesHaveCheckpoints ? undefined : '`acquireLease` answers no checkpoint'

export const severalAppends: Requirement = ({ capabilities }) =>
  capabilities.appendsPerCommit >= 2 ? undefined : 'a commit takes one append'

export const items =
  (count: number): Requirement =>
  ({ capabilities }) =>
    capabilities.itemsPerCommit >= count ? undefined : `a commit takes ${capabilities.itemsPerCommit} items`

/** Leaves room for the other parts of an event. */
export const bytes =
  (count: number): Requirement =>
  ({ capabilities: { bytesPerEvent, bytesPerCommit } }) =>
    Math.min(bytesPerEvent, bytesPerCommit) >= count * 1.01 ? undefined : `an event takes ${bytesPerEvent} bytes`

/** There is a limit, low enough to exceed in a test. */
export const limited =
  (name: 'appendsPerCommit' | 'itemsPerCommit' | 'bytesPerEvent', testable: number): Requirement =>
  ({ capabilities }) =>
    capabilities[name] <= testable ? undefined : `${name} is not limited, or to more than a test would send`

export const corruptEvents: Requirement = ({ corruptsEvents }) =>
  corruptsEvents ? undefined : 'the host cannot corrupt a stored event'

export const corruptSnapshots: Requirement = ({ corruptsSnapshots }) =>
  corruptsSnapshots ? undefined : 'the host cannot corrupt a stored snapshot'

export const lostEvents: Requirement = ({ losesEvents }) =>
  losesEvents ? undefined : 'the host cannot delete the last events of an aggregate'

const schemaRequired: Requirement = ({ schema }) => (schema === 'required' ? undefined : 'the store works without a schema')
