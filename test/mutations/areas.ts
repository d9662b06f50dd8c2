import type { Mutation } from './mutation.ts'

/** Mutations by the part of the source that they break. */
export const areas: Readonly<Record<string, readonly Mutation[]>> = {}
