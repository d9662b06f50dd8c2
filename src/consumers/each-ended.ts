/** Like `Promise.all`, but rejects only after all have ended. */
export async function eachEnded<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work)
  return Promise.all(work)
}
