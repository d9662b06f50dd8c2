import { defineAggregate, reject } from 'cqrs-es'
import * as z from 'zod'

/** The most items that the carrier takes in one shipment. */
const most = 50

export const shipment = defineAggregate({
  type: 'shipment',
  // Sent by the process `fulfilment` only.
  commands: { BookShipment: z.object({ order: z.string(), items: z.int() }) },
  events: { ShipmentBooked: z.object({ order: z.string(), carrier: z.string() }) },
  initialState: () => ({ isBooked: false }),
}).implement({
  handle: {
    BookShipment: ({ isBooked }, { order, items }) => {
      if (isBooked) return reject('already-booked')
      return items > most ? reject('too-large', { most }) : { type: 'ShipmentBooked', data: { order, carrier: 'post' } }
    },
  },
  apply: { ShipmentBooked: () => ({ isBooked: true }) },
})
