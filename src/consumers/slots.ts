/** Parts of a subscription that processes share, for ever: the part of an aggregate must not change. */
const slots = 64

/** Names of the leases and checkpoints of a consumer. */
export const slotNames = (name: string, slotted: boolean): readonly string[] =>
  slotted ? Array.from({ length: slots }, (_, slot) => `${slot}/${name}`) : [name]

/** FNV-1a over UTF-16 units (http://www.isthe.com/chongo/tech/comp/fnv/). */
export function slotOf(aggregateType: string, aggregateId: string): number {
  let hash = 0x811c9dc5
  for (const text of [aggregateType, '/', aggregateId])
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % slots
}
