/**
 * Returns a function for the ISO text of a time. It keeps the last text, because many commands are
 * decided within a millisecond, and the text costs more than the rest of a small decision.
 */
export function isoTexts(): (time: Date) => string {
  let of = Number.NaN
  let text = ''
  return (time) => {
    const ms = time.getTime()
    if (ms !== of) {
      text = time.toISOString()
      of = ms
    }
    return text
  }
}
