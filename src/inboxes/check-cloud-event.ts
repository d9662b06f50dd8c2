import { ValidationError } from '../errors.ts'
import type { CloudEvent } from '../publications/cloud-event.ts'
import { isObject } from '../util/json.ts'

/** @throws ValidationError when a value lacks what every CloudEvent has */
export function checkCloudEvent(at: string, value: unknown): asserts value is CloudEvent {
  if (!isObject(value) || Array.isArray(value)) throw new ValidationError(`${at} is not a CloudEvent: it must be an object.`)
  const event = value as Partial<Record<keyof CloudEvent, unknown>>
  if (event.specversion !== '1.0')
    throw new ValidationError(`${at} is not a CloudEvent of version 1.0: specversion is ${JSON.stringify(event.specversion)}.`)
  for (const name of ['id', 'source', 'type'] as const)
    if (typeof event[name] !== 'string' || event[name] === '')
      throw new ValidationError(`${at} is not a CloudEvent: ${name} must be a text that is not empty.`)
}
