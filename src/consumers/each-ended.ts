/** As `Promise.all`, but when it rejects none of them is still under way. */
export async function eachEnded<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work)
  return Promise.all(work)
}
