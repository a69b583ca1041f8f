/** Cutting SQL text into statements: at semicolons that stand outside of quotes and comments.
 *  @source https://duckdb.org/docs/stable/sql/dialect/keywords_and_identifiers and literals: '' "" -- /* $tag$ */

/** What was cut off. */
export interface Statements {
  /** Whole ones, without their semicolons. */
  readonly whole: readonly string[]
  /** What stands after the last semicolon. */
  readonly rest: string
}

/** What the text may go on with where nothing is quoted; each is matched to its end, or not at all. */
const pieces = [
  /'[^']*(?:''[^']*)*'/y,
  /"[^"]*(?:""[^"]*)*"/y,
  /--[^\n]*\n?/y,
  /\/\*[\s\S]*?\*\//y,
  /\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/y,
  // What begins a piece and does not end one is open still.
  /[^'"$;/-]+/y,
]
const opens = /'|"|\/\*|\$([A-Za-z_]\w*)?\$/y

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0]
}

/** Cut text into statements.
 *  @returns a rest that is open (in a quote, a comment or a statement) or blank */
export function cutStatements(text: string): Statements {
  const whole: string[] = []
  let start = 0
  let at = 0
  while (at < text.length) {
    if (text[at] === ';') {
      const statement = text.slice(start, at).trim()
      if (!isBlank(statement)) whole.push(statement)
      start = ++at
      continue
    }
    const piece = pieces.map((pattern) => matchAt(pattern, text, at)).find((found) => found !== undefined)
    if (piece !== undefined) at += piece.length
    else if (matchAt(opens, text, at) !== undefined) break
    else at++
  }
  return { whole, rest: text.slice(start) }
}

/** Whether there is nothing but space and comments. */
export function isBlank(text: string): boolean {
  return text.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, '').trim() === ''
}
