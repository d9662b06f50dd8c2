/** What `SET TRANSACTION` answers inside a transaction: ER_CANT_CHANGE_TX_CHARACTERISTICS. */
export const transactionOpen = 1568

/** A statement was prepared before a table was altered, and has not run: ER_NEED_REPREPARE. */
export const tableAltered = 1615

/** After these a transaction of ours may have been committed all the same: what was said, or that it was said at all, got lost. */
export const uncertain: ReadonlySet<number> = new Set([
  1030, 1053, 1105, 1158, 1159, 1160, 1161, 1180, 1317, 1927, 1969, 2006, 2013, 3024,
])

/** A deadlock; a row that somebody else has inserted since it was checked; a table that was altered meanwhile. */
export const worthAnother: ReadonlySet<number> = new Set([1062, 1213, 1412, tableAltered])

/** ER_LOCK_WAIT_TIMEOUT. */
export const lockTimeout = 1205

/** The number of an error of the server; the driver mariadb numbers its own from 45001 on, mysql2 and Node give theirs no positive one. */
export function serverError(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errno' in error)) return undefined
  const { errno } = error
  return typeof errno === 'number' && errno > 0 && !(errno > 45_000 && errno < 46_000) ? errno : undefined
}

/** Errors that the store's procedures raise by themselves. */
export const raised = { session: 51_001, unplaced: 51_002, notStored: 51_003 } as const
