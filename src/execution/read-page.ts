import { isCqrsError } from '../errors.ts'

/** Events asked for at once by who gives them on one by one: enough to hide the round trips, few enough to hold. */
const pageSize = 200

/**
 * A page of events, read by `read`. Where the JSON of one of them is corrupt a store gives none of its page, so a shorter one is read: those before it
 * are given before its error.
 */
export async function readPage<P>(read: (limit: number) => Promise<P>, size = pageSize): Promise<P> {
  for (let limit = size; ; limit = Math.ceil(limit / 2)) {
    try {
      return await read(limit)
    } catch (error) {
      if (limit === 1 || !isCqrsError(error, 'DESERIALIZATION')) throw error
    }
  }
}
