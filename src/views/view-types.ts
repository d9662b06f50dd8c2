/** The types of one view, bundled. */
export interface ViewTypes {
  /** Name of the view, a literal type. */
  readonly name: string
  /** One row. */
  readonly view: unknown
  /** Names of its indexes; `never` if it has none. */
  readonly indexes: string
}
