import { ValidationError } from '../errors.ts'

/** Reason and author of an action that cannot be undone. */
export interface Said {
  readonly reason: string
  readonly by?: string | undefined
}

/** @throws ValidationError */
export function checkSaid(
  method: string,
  said: { readonly reason?: unknown; readonly by?: unknown },
  hint = '',
): asserts said is Said {
  const { reason, by } = said
  if (typeof reason !== 'string' || reason === '')
    throw new ValidationError(`${method}: a reason is needed: { reason }.${hint && ` ${hint}`}`)
  if (by !== undefined && typeof by !== 'string') throw new ValidationError(`${method}: by must be a text.`)
}
