/**
 * A CloudEvent, version 1.0, with JSON data.
 *
 * See https://cloudevents.io.
 */
export interface CloudEvent<T extends string = string, D = unknown> {
  /** Version of the specification. */
  readonly specversion: '1.0'
  /** Id of the stored event, `order/o-1/3`. Unique together with `source`. */
  readonly id: string
  /** Publisher of the event, a URI reference. */
  readonly source: string
  /** Type of the event with its version: `com.example.order.placed.v1`. */
  readonly type: T
  /** Subject of the event; when published, the id of the aggregate unless its contract names another. */
  readonly subject?: string
  /** Time of the decision, ISO 8601. */
  readonly time?: string
  /** Media type of the data. */
  readonly datacontenttype?: string
  /** Address of the schema of the data. */
  readonly dataschema?: string
  /** Data of the event, JSON. */
  readonly data: D
  /** Key of the order: `order/o-1`. */
  readonly partitionkey?: string
  /** Sequence in 16 digits. Grows within a `partitionkey`, with gaps; compare as text. */
  readonly sequence?: string
  /** Id that all events of one conversation share. */
  readonly correlationid?: string
  /** Id of the event or command that caused this one. */
  readonly causationid?: string
  /** Trace context, as W3C Trace Context defines it. */
  readonly traceparent?: string
}
