/**
 * How many commits of one checkpoint, those without appends, a store remembers by id: enough for one that is sent again after its outcome
 * was lost. Older ones are forgotten, since otherwise every batch of every view would be kept for ever.
 */
export const checkpointCommitsKept = 1_000
