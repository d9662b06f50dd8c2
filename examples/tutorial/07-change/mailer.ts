export interface Mailer {
  send(mail: { id: string; to: string; text: string }): Promise<void>
}

/** Prints mails. Replace it with the client of your mail provider. */
export const consoleMailer: Mailer = {
  send: async ({ to, text }) => console.log(`Mail to ${to}: ${text}`),
}
