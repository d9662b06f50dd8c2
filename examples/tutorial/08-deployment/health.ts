import type { Shop } from './shop.ts'

/** 200 while the database answers, with the state of each view and subscription. */
export async function health(shop: Shop): Promise<Response> {
  try {
    const { consumers } = await shop.health()
    return Response.json(
      consumers.map(({ name, state, because, lag, parked }) => ({
        name,
        state,
        because,
        lag,
        parked,
      })),
    )
  } catch (error) {
    console.error('The health check failed:', error)
    return Response.json({ title: 'The database does not answer.' }, { status: 503 })
  }
}
