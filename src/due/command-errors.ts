import { type CqrsErrorCode, isCqrsError } from '../errors.ts'

/** The same attempt would fail again. */
const permanent: readonly CqrsErrorCode[] = ['VALIDATION', 'INVALID_EVENT', 'APPLY', 'DEFINITION', 'STORE_LIMIT']
/** The fault is not the command's: nothing is counted, and the run ends. */
const outage: readonly CqrsErrorCode[] = [
  'OVERLOADED',
  'OUTCOME_UNKNOWN',
  'CLOSED',
  'STORE_FAILED',
  'STORE_BUSY',
  'STORE_FULL',
  'STORE_READ_ONLY',
  'STORE_UNAVAILABLE',
  'STORE_BEHIND',
  'SCHEMA_MISSING',
  'SCHEMA_TOO_NEW',
]

const isOf = (error: unknown, codes: readonly CqrsErrorCode[]): boolean => codes.some((code) => isCqrsError(error, code))

/** Returns whether an error of the library means that no command could be stored now. */
export const isOutage = (error: unknown): boolean => isOf(error, outage)

/** Returns whether an error of the library would occur again. */
export const wouldFailAgain = (error: unknown): boolean => isOf(error, permanent)
