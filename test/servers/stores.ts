/** Tested stores; the MySQL store on both of its servers. */
export const all = ['memory', 'sqlite', 'postgres', 'mariadb', 'mysql', 'dynamodb'] as const

export type StoreName = (typeof all)[number]

/** The stores to test: all, or those in `STORES=memory,sqlite`. */
export const selected: readonly StoreName[] = parse(process.env.STORES)

function parse(names: string | undefined): readonly StoreName[] {
  if (names === undefined || names.trim() === '') return all
  return names.split(',').map((text) => {
    const name = all.find((store) => store === text.trim())
    if (name === undefined) throw new Error(`STORES: there is no store '${text.trim()}'; there are ${all.join(', ')}.`)
    return name
  })
}

/** For `describe.skipIf`. */
export const unselected = (name: StoreName): boolean => !selected.includes(name)
