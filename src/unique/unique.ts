import type { AggregateExtension } from '../aggregate.ts'
import type { ExtensionParts } from '../execution/extension.ts'
import { adopt } from '../rules/adopt.ts'
import { combine } from '../rules/combine.ts'
import { missingClaims } from './missing.ts'
import { claimRowsOf } from './rows.ts'

const parts: ExtensionParts & { readonly option: 'unique' } = {
  option: 'unique',
  rows: claimRowsOf,
  combine,
  adopt,
  missing: missingClaims,
}

/**
 * Code of the option `unique` of `defineAggregate`. Pass it in `with`; programs without it do not
 * load the code.
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, typed, unique } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const user = defineAggregate({
 *   type: 'user',
 *   events: { Registered: typed<{ email: string }>() },
 *   commands: { Register: typed<{ email: string }>() },
 *   initialState: () => ({ email: undefined as string | undefined }),
 *   unique: { email: (state) => state.email?.toLowerCase() },
 *   with: [unique],
 * }).implement({
 *   handle: { Register: (_, data) => ({ type: 'Registered', data }) },
 *   apply: { Registered: (_, { email }) => ({ email }) },
 * })
 *
 * const app = createApp({ store: memoryStore(), aggregates: { user } })
 * await app.aggregates.user.execute('u-1', { type: 'Register', data: { email: 'Ann@example.com' } })
 * const second = await app.aggregates.user.execute('u-2', { type: 'Register', data: { email: 'ann@example.com' } })
 * console.log(second.ok ? 'registered' : second.reason, second.ok || second.details) // taken { unique: 'email' }
 * await app.close()
 * ```
 */
export const unique: AggregateExtension<'unique'> = { '~extension': parts }
