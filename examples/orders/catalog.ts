/** Items of the shop: prices in cents, and the stock on the first day. */
export const catalog: Readonly<Record<string, { readonly price: number; readonly stock: number }>> = {
  tea: { price: 900, stock: 100 },
  cup: { price: 1_200, stock: 100 },
  kettle: { price: 4_500, stock: 3 },
  // Above the limit of the payment service: the customer pays by transfer.
  piano: { price: 250_000, stock: 2 },
}
