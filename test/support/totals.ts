import { defineView } from 'cqrs-es'
import { counter } from './counter.ts'

/** Totals by counter, each count multiplied by `times`, for views whose rules or shape change. */
export const totalsOf = (consistency: 'inline' | 'async', { name = 'totals', viewVersion = 1, times = 1 } = {}) =>
  defineView({
    name,
    aggregates: [counter],
    initialView: () => ({ total: 0, count: 0 }),
    update: {
      Counted: (view, event) => ({ total: view.total + event.data.by * times, count: view.count + 1 }),
    },
    indexes: ['total'],
    consistency,
    viewVersion,
  })

/** Rows by counted number: many aggregates write one row. */
export const sizesOf = (consistency: 'inline' | 'async', { name = 'sizes', viewVersion = 1 } = {}) =>
  defineView({
    name,
    aggregates: [counter],
    initialView: () => ({ times: 0, last: '' }),
    id: (event) => `by-${event.data.by}`,
    update: { Counted: (view, event) => ({ times: view.times + 1, last: event.aggregateId }) },
    consistency,
    viewVersion,
  })
