import { defineAggregate, typed, type Upcaster } from 'cqrs-es'

/** A customer of the program before the split: one event says where somebody lives now and how to call. */
export const customerBefore = defineAggregate({
  type: 'customer',
  events: { Moved: typed<{ street: string; phone: string }>() },
  commands: { Move: typed<{ street: string; phone: string }>() },
  initialState: () => ({}),
}).implement({ handle: { Move: (_, data) => ({ type: 'Moved', data }) }, apply: { Moved: (state) => state } })

const split: Upcaster = {
  canUpcast: (type) => type === 'Moved',
  upcast: (event) => {
    const { street, phone } = event.data as { street: string; phone: string }
    return [
      { ...event, type: 'AddressChanged', data: { street } },
      { ...event, type: 'PhoneChanged', data: { phone } },
    ]
  },
}

/** The same customer of the program after it: an upcaster makes two events of one. */
export const customer = defineAggregate({
  type: 'customer',
  events: { AddressChanged: typed<{ street: string }>(), PhoneChanged: typed<{ phone: string }>() },
  commands: { ChangeAddress: typed<{ street: string }>() },
  initialState: () => ({ street: '', phone: '' }),
  upcasters: [split],
}).implement({
  handle: { ChangeAddress: (_, data) => ({ type: 'AddressChanged', data }) },
  apply: {
    AddressChanged: (state, { street }) => ({ ...state, street }),
    PhoneChanged: (state, { phone }) => ({ ...state, phone }),
  },
})

export const move = (nth: number) => ({ type: 'Move' as const, data: { street: `street ${nth}`, phone: `phone ${nth}` } })
export const changeAddress = (street: string) => ({ type: 'ChangeAddress' as const, data: { street } })
