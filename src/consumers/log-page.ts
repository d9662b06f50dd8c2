import type { Position } from '../event-envelope.ts'
import { feedPage } from '../execution/read-page.ts'
import type { FeedPage, LogEvent, Store } from '../store/store.ts'
import { beginning } from './positions.ts'

/**
 * Reads a page of events of these aggregate types, after a position. `confirm`: an event that was
 * read before.
 */
export const logPage = (
  core: { readonly store: Store },
  aggregateTypes: readonly string[],
  after: Position | undefined,
  size: number,
  confirm?: LogEvent,
): Promise<FeedPage> =>
  feedPage(
    core,
    {
      only: aggregateTypes.map((aggregateType) => ({ aggregateType })),
      ...(after !== undefined && after !== beginning && { after }),
      ...(confirm && { confirm }),
    },
    size,
  )
