/** Error of `SET TRANSACTION` inside a transaction: ER_CANT_CHANGE_TX_CHARACTERISTICS. */
export const transactionOpen = 1568

/**
 * A table was altered after the preparation of a statement, which has not run: ER_NEED_REPREPARE.
 */
export const tableAltered = 1615

/** Errors after which a transaction may have been committed: its confirmation got lost. */
export const uncertain: ReadonlySet<number> = new Set([
  1030, 1053, 1105, 1158, 1159, 1160, 1161, 1180, 1317, 1927, 1969, 2006, 2013, 3024,
])

/** Errors worth a retry: a deadlock, a row that was inserted after the check, an altered table. */
export const worthAnother: ReadonlySet<number> = new Set([1062, 1213, 1412, tableAltered])

/** ER_LOCK_WAIT_TIMEOUT. */
export const lockTimeout = 1205

/**
 * The number of an error of the server.
 *
 * The driver mariadb numbers its own errors from 45001 on; those of mysql2 and Node have no
 * positive number.
 */
export function serverError(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errno' in error)) return undefined
  const { errno } = error
  return typeof errno === 'number' && errno > 0 && !(errno > 45_000 && errno < 46_000) ? errno : undefined
}

/** Errors raised by the store's procedures. */
export const raised = { session: 51_001, unplaced: 51_002, notStored: 51_003 } as const
