/** A place where prose breaks a rule of the writing guide. */
export interface Finding {
  readonly rule: string
  /** File and line. */
  readonly place: string
  readonly text: string
}

export const most = {
  line: 120,
  sentenceWords: 30,
  paragraphWords: 90,
  pageWords: 1_500,
  headingWords: 6,
  summary: 110,
  message: 220,
  title: 90,
  subject: 72,
} as const

/** Words and phrases with a better word in the glossary. */
const avoid: readonly (readonly [pattern: RegExp, better: string])[] = [
  [
    /\b[Ww]hoever\b|\b[Ww]ho (?:reads|waits|comes|has|asks|writes|executes|gets|may|does|sent|shares|adds)\b/,
    'name the actor: a reader, the caller, a process',
  ],
  [/\b(?:he|his|him|himself|her|she)\b/, 'it, its, they'],
  [/\b(?:nobody|somebody)\b/i, 'no process, another process, no caller'],
  [/\b(?:is|are|was|were|be) told\b|\btold of\b|\bTold (?:what|why|about|when|of)\b/, 'receives, is called with, reports'],
  [/\bunder way\b/, 'in flight, running, pending'],
  [/\banew\b/, 'again'],
  [/\bstand(?:s|ing)? still\b/, 'has stopped'],
  [/\bgone on with\b|\bgoes on (?:where|by|behind)\b/, 'continues, resumes'],
  [/\bfor so long\b|\bat the most\b|\bso many\b/, 'up to, at most'],
  [/\bbehind (?:the )?(?:events?|last|position|it|them|this|that|all|what)\b/, 'after (order), lagging (delay)'],
  [/\blooked at every|\blooked at (?:while|between)\b|\bis looked at\b/, 'polled, checked'],
  [/\bnot to be had\b|\bwas not there\b/, 'unavailable, timed out'],
  [/\b(?:mend|fain|wherein|thereof|hereby|of late)\b/, 'fix'],
]

const clauseSubject = /^(?:What|Who|Whoever|Whose|Where)\b[^?]*$/
const usualClause = /^(?:What (?:next|is|are|does|happens)\b|Where (?:to|next)\b)/
const fragment = /^(?:that|and|is|has|are|of|by|with|also|in|to|but|from)\b/
const notImperative = /^(?:A|An|The|What|Who|Whoever|However|With|In|On|Of|That|It|Its|Each|Every|No|Nothing|One|Two|All)\b/

export const wordsIn = (text: string): number => text.split(/\s+/).filter(Boolean).length

export function sentencesIn(text: string): readonly string[] {
  return text
    .replace(/`[^`]*`/g, 'x')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .split(/(?<=[.!?:]\**)\s+(?=[A-Z*`"(])/)
}

/** Checks the sentences and words of running text. */
export function checkText(text: string, place: string): readonly Finding[] {
  const bySentence = sentencesIn(text).flatMap((sentence) => {
    const words = wordsIn(sentence)
    const bare = sentence.replace(/^[*_\-\d.|\s]+/, '')
    const isClause = clauseSubject.test(bare) && !usualClause.test(bare) && words > 4
    return [
      ...(words > most.sentenceWords ? [{ rule: 'long-sentence', place, text: `${words} words: ${sentence}` }] : []),
      ...(isClause ? [{ rule: 'clause-subject', place, text: sentence }] : []),
    ]
  })
  return [...bySentence, ...checkWords(text, place, 'word')]
}

export function checkWords(text: string, place: string, rule: string): readonly Finding[] {
  const bare = text.replace(/`[^`]*`/g, 'x').replace(/\]\([^)]*\)/g, ']')
  return avoid.flatMap(([pattern, better]) => {
    const found = pattern.exec(bare)?.[0]
    return found === undefined ? [] : [{ rule, place, text: `${found} (better: ${better}): ${text}` }]
  })
}

export function checkTitle(title: string, place: string): readonly Finding[] {
  return [
    ...(title.length > most.title ? [{ rule: 'long-title', place, text: title }] : []),
    ...(fragment.test(title) ? [{ rule: 'title-fragment', place, text: title }] : []),
    ...checkWords(title, place, 'title-word'),
  ]
}

export function checkMessage(message: string, place: string): readonly Finding[] {
  return [
    ...(message.length > most.message ? [{ rule: 'long-message', place, text: message }] : []),
    ...checkWords(message, place, 'message-word'),
  ]
}

export function checkSubject(subject: string, place: string): readonly Finding[] {
  return [
    ...(subject.length > most.subject ? [{ rule: 'long-subject', place, text: subject }] : []),
    ...(notImperative.test(subject) ? [{ rule: 'subject-not-imperative', place, text: subject }] : []),
  ]
}
