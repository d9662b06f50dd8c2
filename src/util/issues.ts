import type { Issue } from '../errors.ts'
import { NotJson, pathText } from './json.ts'

/** The issue of a value that is not JSON; any other error is thrown on. */
export function notJsonIssue(error: unknown): Issue {
  if (!(error instanceof NotJson)) throw error
  return { message: `${error.message} cannot be stored as JSON`, path: error.path }
}

/** `balance: must be a number; owner: required`. */
export const issuesText = (issues: readonly Issue[]): string =>
  issues
    .map(({ message, path }) => (path === undefined || path.length === 0 ? message : `${pathText(path)}: ${message}`))
    .join('; ')
