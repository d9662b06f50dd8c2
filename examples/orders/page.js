// Rows of a view that refresh themselves: https://github.com/cqrs-es/cqrs-es-ts/blob/main/docs/guides/live-lists.md
function live(view, order, show) {
  const rows = new Map()
  const load = async () => {
    const { items } = await (await fetch(`/views/${view}${order}`)).json()
    rows.clear()
    for (const row of items) rows.set(row.id, row)
    show(rows)
  }
  const source = new EventSource(`/views/${view}`)
  // Nothing is missed after `open`, so the first load comes then.
  source.addEventListener('open', load)
  source.addEventListener('reload', load)
  source.addEventListener('changed', ({ data }) => {
    const row = JSON.parse(data)
    // A row of `load` may be newer than the report.
    if ((rows.get(row.id)?.version ?? 0) <= row.version) rows.set(row.id, row)
    show(rows)
  })
  source.addEventListener('gone', ({ data }) => {
    rows.delete(JSON.parse(data).id)
    show(rows)
  })
}

async function post(path, contentType, body) {
  const headers = { 'Content-Type': contentType, 'Idempotency-Key': crypto.randomUUID() }
  const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
  const { reason, detail } = response.ok ? {} : await response.json()
  answer.textContent = response.ok ? '' : (reason ?? detail)
}
const command = (path, data) => post(path, 'application/json', data)

/** Plays the payment service: reports a transfer as a CloudEvent. */
function transfer(order, amount) {
  const id = crypto.randomUUID()
  const data = { reference: `transfer-${id.slice(0, 8)}`, order, amount }
  const event = { specversion: '1.0', id, source: '/psp', type: 'com.psp.transfer.received.v1', data }
  post('/inbox/payments', 'application/cloudevents+json', event)
}

const [place, lines, answer, items, orders] = ['place', 'lines', 'answer', 'items', 'orders'].map((id) =>
  document.getElementById(id),
)
const euros = (cents) => (cents / 100).toFixed(2)
const element = (name, text, properties = {}) => Object.assign(document.createElement(name), { textContent: text, ...properties })

const catalog = await (await fetch('/catalog')).json()
for (const [sku, { price }] of Object.entries(catalog)) {
  const label = element('label', ` ${sku} (${euros(price)}) `)
  label.append(element('input', '', { name: sku, type: 'number', min: 0, max: 1000, value: sku === 'tea' ? 1 : 0 }))
  lines.append(label)
}

place.addEventListener('submit', (event) => {
  event.preventDefault()
  const form = new FormData(place)
  const chosen = Object.keys(catalog).flatMap((sku) => {
    const quantity = Number(form.get(sku))
    return quantity > 0 ? [{ sku, quantity }] : []
  })
  command(`/order/${crypto.randomUUID().slice(0, 8)}/PlaceOrder`, { customer: form.get('customer'), lines: chosen })
})

live('items', '', (rows) => {
  items.textContent = [...rows.values()].map(({ id, view }) => `${id}: ${view.left}`).join(', ')
})

live('orders', '?orderBy=placedAt&descending=true&limit=100', (rows) => {
  const newest = [...rows.values()].sort((a, b) => (a.view.placedAt < b.view.placedAt ? 1 : -1))
  orders.replaceChildren(...newest.map(orderRow))
})

function orderRow({ id, view }) {
  const row = element('tr', '', { id: `order-${id}` })
  const pay = element('button', 'Transfer', { title: 'Pay the total by bank transfer, also late or twice' })
  pay.addEventListener('click', () => transfer(id, view.total))
  const cell = element('td', '')
  cell.append(pay)
  row.append(
    element('td', `${id} (${view.customer})`),
    element('td', view.lines.map(({ sku, quantity }) => `${quantity} ${sku}`).join(', ')),
    element('td', view.reserved.join(', ')),
    element('td', euros(view.total)),
    element('td', view.because === '' ? view.status : `${view.status}: ${view.because}`, { className: view.status }),
    element('td', view.money.map(({ reference, isRefunded }) => `${reference}${isRefunded ? ' (sent back)' : ''}`).join(', ')),
    cell,
  )
  return row
}
